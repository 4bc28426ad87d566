//! As much of HTTP/1.1 as XML-RPC needs: messages with a Content-Length, one after the other.

use std::io::{self, BufRead, Read, Write};

/// A message's start line and all its headers fit into this.
const MAX_HEAD: u64 = 16 * 1024;

/// A request or a response.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The start line: `POST /RPC2 HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start: String,
    /// Whether the other side will close the connection after it.
    pub closes: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection failed, or the other side was silent for too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is not what is spoken here; the status is the one to answer with.
    #[error("{reason}")]
    Refused {
        /// The status to answer with.
        status: u16,
        /// Why.
        reason: &'static str,
    },
}

fn refused<T>(status: u16, reason: &'static str) -> Result<T, HttpError> {
    Err(HttpError::Refused { status, reason })
}

/// Reads one message whose body is no longer than `max_body`; `None` at the end of the connection.
pub fn read_message(
    reader: &mut impl BufRead,
    max_body: u64,
) -> Result<Option<Message>, HttpError> {
    let mut head = reader.by_ref().take(MAX_HEAD);
    let Some(start) = line(&mut head)? else { return Ok(None) };
    let mut closes = start.contains("HTTP/1.0");
    let mut length = None;
    loop {
        let Some(header) = line(&mut head)? else {
            return refused(400, "the headers end too early");
        };
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else {
            return refused(400, "a header has no colon");
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => match value.parse::<u64>() {
                Ok(value) if length.is_none_or(|old| old == value) => length = Some(value),
                _ => return refused(400, "Content-Length is no number"),
            },
            "transfer-encoding" => return refused(411, "the body must have a Content-Length"),
            "connection" => closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let length = length.unwrap_or(0);
    if length > max_body {
        return refused(413, "the body is too long");
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return refused(400, "the body ends too early");
    }
    Ok(Some(Message { start, closes, body }))
}

/// One line without its end; `None` if there is nothing more.
fn line(head: &mut impl BufRead) -> Result<Option<String>, HttpError> {
    let mut line = Vec::new();
    if head.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return refused(431, "a header line is too long or ends too early");
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Some(line)),
        Err(_) => refused(400, "a header is not text"),
    }
}

/// Writes a request with an XML body.
pub fn write_request(writer: &mut impl Write, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    writer.flush()
}

/// Writes a response with an XML body, or with a plain sentence when the status is an error.
pub fn write_response(writer: &mut impl Write, status: u16, body: &str) -> io::Result<()> {
    let (reason, kind) = match status {
        200 => ("OK", "text/xml"),
        404 => ("Not Found", "text/plain"),
        405 => ("Method Not Allowed", "text/plain"),
        411 => ("Length Required", "text/plain"),
        413 => ("Content Too Large", "text/plain"),
        431 => ("Request Header Fields Too Large", "text/plain"),
        503 => ("Service Unavailable", "text/plain"),
        _ => ("Bad Request", "text/plain"),
    };
    let close = if status == 200 { "" } else { "Connection: close\r\n" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nServer: xend\r\nContent-Type: {kind}\r\n{close}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Message>, HttpError> {
        read_message(&mut text.as_bytes(), 100)
    }

    fn status(text: &str) -> u16 {
        match read(text) {
            Err(HttpError::Refused { status, .. }) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_follow_each_other() {
        let mut wire = Vec::new();
        write_request(&mut wire, "<a/>").unwrap();
        write_request(&mut wire, "").unwrap();
        let mut reader = wire.as_slice();
        let first = read_message(&mut reader, 100).unwrap().unwrap();
        assert_eq!(
            (first.start.as_str(), first.body.as_slice()),
            ("POST /RPC2 HTTP/1.1", &b"<a/>"[..])
        );
        assert!(!first.closes);
        assert_eq!(read_message(&mut reader, 100).unwrap().unwrap().body, b"");
        assert_eq!(read_message(&mut reader, 100).unwrap(), None);
    }

    #[test]
    fn what_is_not_spoken_here_is_refused_with_a_status() {
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n"), 413);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
        assert_eq!(
            status("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
            400
        );
        assert_eq!(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nnonsense\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\n"), 400);
        assert_eq!(status(&"x".repeat(20_000)), 431);
        assert!(read("GET / HTTP/1.0\n\n").unwrap().unwrap().closes);
        assert!(read("GET / HTTP/1.1\nConnection: Close\n\n").unwrap().unwrap().closes);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read_message(&mut bytes.as_slice(), 100);
        }
    }
}
