//! An X server of our own, without a screen to look at.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use farpane_media::Size;

use crate::Error;

pub struct Server {
    xvfb: Child,
    /// As `$DISPLAY` would name it.
    pub display: String,
}

impl Server {
    /// Starts Xvfb with a screen of `size`, which is also the largest that it can be set to.
    pub fn start(size: Size) -> Result<Server, Error> {
        let mut xvfb = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0"])
            .arg(format!("{size}x24"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| format!("Xvfb does not start ({why}): apt-get install xvfb"))?;
        let mut number = String::new();
        let said = xvfb.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut number)?;
        let server = Server { xvfb, display: format!(":{}", number.trim()) };
        if number.is_empty() {
            return Err("Xvfb ends before it has a display".into());
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.xvfb.kill();
        let _ = self.xvfb.wait();
    }
}
