//! What the threads of this process have taken of the processor, as Linux tells it.

use std::collections::HashMap;
use std::time::Duration;

use crate::coded::process_cpu;

/// Threads of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadTime {
    /// As the system shows it, 15 bytes at most.
    pub name: String,
    /// On a core.
    pub ran: Duration,
    /// Ready to run, with every core taken.
    pub waited: Duration,
}

/// Of all threads since they began.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    cpu: Duration,
    /// By thread id.
    threads: HashMap<String, ThreadTime>,
}

impl Usage {
    pub fn now() -> Usage {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = tasks.filter_map(|task| {
            let read = |name: &str| std::fs::read_to_string(task.path().join(name)).ok();
            let id = task.file_name().into_string().ok()?;
            Some((id, thread(read("comm")?.trim_end(), &read("schedstat")?)?))
        });
        Usage { cpu: process_cpu(), threads: threads.collect() }
    }

    /// What has been taken since `before`, in all and by threads that are still there, busiest first.
    pub fn since(&self, before: &Usage) -> (Duration, Vec<ThreadTime>) {
        let mut names: Vec<ThreadTime> = Vec::new();
        for (id, now) in &self.threads {
            let zero = (Duration::ZERO, Duration::ZERO);
            let (ran, waited) =
                before.threads.get(id).map_or(zero, |thread| (thread.ran, thread.waited));
            let (ran, waited) = (now.ran.saturating_sub(ran), now.waited.saturating_sub(waited));
            match names.iter_mut().find(|thread| thread.name == now.name) {
                Some(thread) => {
                    thread.ran += ran;
                    thread.waited += waited;
                }
                None => names.push(ThreadTime { name: now.name.clone(), ran, waited }),
            }
        }
        names.sort_by(|a, b| b.ran.cmp(&a.ran).then_with(|| a.name.cmp(&b.name)));
        (self.cpu.saturating_sub(before.cpu), names)
    }
}

/// From `/proc/PID/task/TID/schedstat`: nanoseconds on a core, nanoseconds waiting for one, how often it had one.
fn thread(name: &str, schedstat: &str) -> Option<ThreadTime> {
    let mut nanos =
        schedstat.split_whitespace().map(|field| field.parse().ok().map(Duration::from_nanos));
    Some(ThreadTime { name: name.to_owned(), ran: nanos.next()??, waited: nanos.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu: u64, threads: &[(&str, &str, u64, u64)]) -> Usage {
        let millis = Duration::from_millis;
        let thread = |(id, name, ran, waited): &(&str, &str, u64, u64)| {
            let (ran, waited) = (millis(*ran), millis(*waited));
            ((*id).to_owned(), ThreadTime { name: (*name).to_owned(), ran, waited })
        };
        Usage { cpu: millis(cpu), threads: threads.iter().map(thread).collect() }
    }

    #[test]
    fn threads_count_from_before_and_those_of_a_name_together() {
        let before = usage(100, &[("1", "main", 90, 1), ("2", "gone", 10, 0)]);
        let after = usage(
            170,
            &[
                ("1", "main", 95, 1),
                ("3", "slice", 20, 2),
                ("4", "slice", 30, 3),
                ("5", "net", 7, 0),
            ],
        );
        let (cpu, threads) = after.since(&before);
        let figures = threads.iter().map(|t| (&*t.name, t.ran.as_millis(), t.waited.as_millis()));
        assert_eq!(cpu, Duration::from_millis(70));
        assert_eq!(figures.collect::<Vec<_>>(), [("slice", 50, 5), ("net", 7, 0), ("main", 5, 0)]);
    }

    #[test]
    fn schedstat_is_read_and_what_is_not_one_is_not() {
        let read = thread("net", "2500000 40000 17\n").unwrap();
        assert_eq!(
            (read.ran, read.waited),
            (Duration::from_micros(2_500), Duration::from_micros(40))
        );
        for wrong in ["", "12", "a b c"] {
            assert_eq!(thread("net", wrong), None, "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_thread_is_seen_by_its_name() {
        let named = std::thread::Builder::new().name("farpane-here".to_owned());
        let seen = named.spawn(|| Usage::now().since(&Usage::default()).1).unwrap().join().unwrap();
        assert!(seen.iter().any(|thread| thread.name == "farpane-here"), "{seen:?}");
    }
}
