//! What a guest measures of its network, and the end in dom0 that it talks to. The first byte of a
//! connection says what is wanted.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use anyhow::{Result, ensure};

use crate::calls::DATA;
use crate::{buffer, second};

/// Every byte comes back.
const ECHO: u8 = b'e';
/// All is taken, and one byte comes back at the end.
const TAKE: u8 = b't';
/// So many bytes come, and then the end.
const GIVE: u8 = b'g';
/// How many MiB go one way at a time.
const MIB: u32 = 16;
const ROUND_TRIPS: u32 = 1000;

/// Serves one connection after the other, for ever.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A guest that is destroyed breaks its connection, and the next one gets another.
        if let Err(error) = serve_one(stream) {
            eprintln!("a connection broke: {error}");
        }
    }
}

fn serve_one(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wish = [0];
    stream.read_exact(&mut wish)?;
    match wish[0] {
        ECHO => {
            let mut byte = [0];
            while stream.read(&mut byte)? == 1 {
                stream.write_all(&byte)?;
            }
            Ok(())
        }
        TAKE => {
            take(&mut stream)?;
            stream.write_all(&[TAKE])
        }
        _ => give(&mut stream),
    }
}

fn give(stream: &mut TcpStream) -> io::Result<()> {
    let buffer = buffer();
    (0..MIB).try_for_each(|_| stream.write_all(&buffer.0))?;
    stream.shutdown(Shutdown::Write)
}

/// Takes all there is; how many bytes that was.
fn take(stream: &mut TcpStream) -> io::Result<usize> {
    let mut buffer = buffer();
    let mut taken = 0;
    loop {
        match stream.read(&mut buffer.0)? {
            0 => return Ok(taken),
            count => taken += count,
        }
    }
}

fn connect(wish: u8) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(DATA)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[wish])?;
    Ok(stream)
}

/// Names and nanoseconds: of each MiB sent and received, and of a byte there and back.
pub fn measure() -> Result<Vec<(&'static str, f64)>> {
    let mut echo = connect(ECHO)?;
    let round_trip = second(ROUND_TRIPS, || {
        echo.write_all(&[1])?;
        Ok(echo.read_exact(&mut [0])?)
    })?;
    // One connection is served at a time.
    drop(echo);
    let send = second(1, || {
        let mut stream = connect(TAKE)?;
        give(&mut stream)?;
        Ok(stream.read_exact(&mut [0])?)
    })?;
    let receive = second(1, || {
        let taken = take(&mut connect(GIVE)?)?;
        ensure!(taken == (MIB as usize) << 20, "{taken} bytes came");
        Ok(())
    })?;
    let each = f64::from(MIB);
    Ok(vec![
        ("net-round-trip", round_trip),
        ("net-send", send / each),
        ("net-receive", receive / each),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn serving() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener));
        address
    }

    #[test]
    fn each_wish_is_granted() {
        let address = serving();
        let connect = |wish| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[wish]).unwrap();
            stream
        };
        assert_eq!(take(&mut connect(GIVE)).unwrap(), (MIB as usize) << 20);
        let mut taking = connect(TAKE);
        give(&mut taking).unwrap();
        let mut byte = [0];
        taking.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [TAKE]);
        drop(taking);
        let mut echo = connect(ECHO);
        echo.write_all(&[7]).unwrap();
        echo.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
    }
}
