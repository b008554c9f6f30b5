//! What the person types: lines of standard input, read by a thread of their own because reading cannot be interrupted.

use tokio::sync::mpsc;

/// Lines as they come; closed at the end of input.
pub fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Only a clear yes is one.
pub fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_is_no() {
        assert!(["y", " Yes "].into_iter().all(super::is_yes));
        assert!(["", "n", "yep", "ok"].into_iter().all(|line| !super::is_yes(line)));
    }
}
