//! virtd on the host, with a stand-in for xend below it: stock clients, and hostile ones.

mod hostile;
mod stand_in;
mod stock;
