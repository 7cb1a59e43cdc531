//! The spine with scripted parts: what a plan refuses, how data flows, what a reload and a stop do.

mod kept;
mod parts;
mod plans;
mod running;
