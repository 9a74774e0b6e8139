//! The `rtmp-hmonitor` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtmp_hmonitor::cli::main()
}
