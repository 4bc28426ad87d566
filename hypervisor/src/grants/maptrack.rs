//! A domain's mappings of others' grants, by handle.

use alloc::vec::Vec;

/// A place, in use or the link to the next that is free.
enum Place<T> {
    Used(T),
    Free(Option<u32>),
}

/// Mappings by handle. A handle is used again when its mapping is gone.
pub struct Maptrack<T> {
    places: Vec<Place<T>>,
    free: Option<u32>,
    /// So many at most.
    limit: usize,
    used: usize,
}

impl<T> Maptrack<T> {
    /// None yet, and never more than `limit`.
    pub const fn new(limit: usize) -> Self {
        Self { places: Vec::new(), free: None, limit, used: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Adds one; gives it back if there is no room.
    pub fn insert(&mut self, value: T) -> Result<u32, T> {
        if let Some(handle) = self.free {
            let place = &mut self.places[handle as usize];
            let Place::Free(next) = core::mem::replace(place, Place::Used(value)) else {
                unreachable!("only free places are on the list")
            };
            self.free = next;
            self.used += 1;
            return Ok(handle);
        }
        if self.places.len() >= self.limit || self.places.try_reserve(1).is_err() {
            return Err(value);
        }
        self.places.push(Place::Used(value));
        self.used += 1;
        Ok(self.places.len() as u32 - 1)
    }

    /// The one with that handle.
    pub fn get(&mut self, handle: u32) -> Option<&mut T> {
        match self.places.get_mut(handle as usize)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, handle: u32) -> Option<T> {
        self.get(handle)?;
        let place = &mut self.places[handle as usize];
        let Place::Used(value) = core::mem::replace(place, Place::Free(self.free)) else {
            return None;
        };
        self.free = Some(handle);
        self.used -= 1;
        Some(value)
    }

    /// Takes any out, for good: handles are not used again.
    pub fn pop(&mut self) -> Option<T> {
        self.free = None;
        loop {
            match self.places.pop()? {
                Place::Used(value) => {
                    self.used -= 1;
                    return Some(value);
                }
                Place::Free(_) => (),
            }
        }
    }
}
