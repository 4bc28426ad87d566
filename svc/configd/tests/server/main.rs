//! `svc.configd` from outside: a real process on real files, clients, kills.

mod clients;
mod damage;
mod fixture;
mod kill;
