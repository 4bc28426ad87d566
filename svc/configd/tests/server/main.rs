//! `svc.configd` from outside: a real process on real files, clients, kills.

mod access;
mod clients;
mod damage;
mod fixture;
mod kill;
mod limits;
