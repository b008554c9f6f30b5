//! What the threads of a process have cost, by their names.

use std::fs;
use std::ops::{Div, Sub};

use crate::Error;

/// The unit of `/proc/PID/stat`: `sysconf(_SC_CLK_TCK)` is this on every Linux.
const TICKS: f64 = 100.0;

/// Processor time, in seconds; of all cores together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Of the threads that capture and code.
    pub coding: f64,
    /// Of all others.
    pub network: f64,
}

impl Cost {
    pub fn of(pid: u32) -> Result<Cost, Error> {
        let mut cost = Cost::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may have ended since.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let (name, seconds) = parse(&stat).ok_or("a line of /proc/PID/stat makes no sense")?;
            match name {
                "farpane-video" | "farpane-slice" | "farpane-capture" => cost.coding += seconds,
                _ => cost.network += seconds,
            }
        }
        Ok(cost)
    }
}

/// A thread's name, which may have spaces and brackets in it, and its time in and for the program (proc(5)).
fn parse(stat: &str) -> Option<(&str, f64)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((name, (ticks()? + ticks()?) / TICKS))
}

impl Sub for Cost {
    type Output = Cost;

    fn sub(self, other: Cost) -> Cost {
        Cost { coding: self.coding - other.coding, network: self.network - other.network }
    }
}

impl Div<f64> for Cost {
    type Output = Cost;

    fn div(self, by: f64) -> Cost {
        Cost { coding: self.coding / by, network: self.network / by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_may_have_any_name() {
        let stat = "7 (a) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 20 0 1";
        assert_eq!(parse(stat), Some(("a) (b", 2.0)));
        assert_eq!(parse("7 S 1"), None);
    }

    #[test]
    fn this_process_has_cost_something() {
        let cost = Cost::of(std::process::id()).unwrap();
        assert!(cost.coding == 0.0 && cost.network >= 0.0);
    }
}
