//! The hypervisor's own memory: powers of two below a page from free lists, whole pages else.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;

use crate::lock::Mutex;

use crate::arch::memory;
use crate::frames;

/// 16 bytes to 2 KiB.
const CLASSES: usize = 8;
const SMALLEST: usize = 16;
/// Pages that can always be had.
const FEW: u64 = 2;

/// The first free piece of each size; a free piece holds the address of the next.
struct Lists([*mut u8; CLASSES]);

// SAFETY: the lists are reached through the lock only.
unsafe impl Send for Lists {}

struct Heap(Mutex<Lists>);

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Lists([null_mut(); CLASSES])));

/// The class of pieces for a request, or how many pages it takes.
enum Place {
    Piece(usize),
    Pages { count: u64, align: u64 },
}

fn place(layout: Layout) -> Place {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    match size.next_power_of_two().trailing_zeros() - SMALLEST.trailing_zeros() {
        class if (class as usize) < CLASSES => Place::Piece(class as usize),
        _ => {
            let count = layout.size().div_ceil(4096) as u64;
            Place::Pages { count, align: layout.align().div_ceil(4096) as u64 }
        }
    }
}

impl Lists {
    fn take(&mut self, class: usize) -> *mut u8 {
        if self.0[class].is_null() {
            let Some(mfn) = frames::take() else { return null_mut() };
            let (page, size) = (memory::direct(mfn << 12), SMALLEST << class);
            for offset in (0..4096).step_by(size) {
                self.put(class, page.wrapping_add(offset));
            }
        }
        let piece = self.0[class];
        // SAFETY: a free piece holds the next one's address.
        self.0[class] = unsafe { piece.cast::<*mut u8>().read() };
        piece
    }

    fn put(&mut self, class: usize, piece: *mut u8) {
        // SAFETY: the piece is free, at least 16 bytes, and aligned to its size.
        unsafe { piece.cast::<*mut u8>().write(self.0[class]) };
        self.0[class] = piece;
    }
}

// SAFETY: pieces and pages are given to one at a time; sizes and alignments are powers of two.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: any layout will do; what can't be had is null.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match place(layout) {
            Place::Piece(class) => self.0.lock().take(class),
            // Lists that guests make longer leave room for what can't do without.
            Place::Pages { count, .. } if count > FEW && !frames::can_spare(count) => null_mut(),
            Place::Pages { count, align } => {
                frames::take_run(count, align).map_or(null_mut(), |mfn| memory::direct(mfn << 12))
            }
        }
    }

    // SAFETY: the caller gives back what `alloc` gave for that layout, so it is a piece or pages of ours.
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match place(layout) {
            Place::Piece(class) => self.0.lock().put(class, start),
            Place::Pages { count, .. } => {
                let mfn = memory::physical(start as u64) >> 12;
                (mfn..mfn + count).for_each(frames::give);
            }
        }
    }
}
