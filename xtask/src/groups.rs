//! The groups of tests that boot: one program each, as many at once as there are processors.
//!
//! An emulated machine keeps one processor busy, so groups that run side by side take little more
//! time than one. What a group prints is shown in one piece, when it ends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::test::{Arguments, Count, cargo, count_results};
use crate::{programs, project};

/// Those that take longest begin first, so that none of them is left alone at the end.
const LONGEST: &[&str] = &["stock", "virtd", "guest", "domains", "services", "chapter"];

/// Builds and runs groups, all of them or those named, and counts their tests.
pub fn run(names: &[String], arguments: &Arguments) -> Result<Count> {
    let programs = Mutex::new(in_order(build(names)?, LONGEST));
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let (ended, ends) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (programs, ended) = (&programs, ended.clone());
            scope.spawn(move || {
                while let Some(program) = next(programs) {
                    let count = run_one(&program, arguments);
                    // Nobody listens only if the main thread is gone, and then nothing matters.
                    let _ = ended.send((name_of(&program), count));
                }
            });
        }
        drop(ended);
        let mut all = Count::default();
        for (name, count) in ends {
            let count = count.with_context(|| format!("the group {name} could not run"))?;
            all = all + count;
        }
        Ok(all)
    })
}

fn build(names: &[String]) -> Result<Vec<PathBuf>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--quiet", "--package", "tests"]);
    build.args(names.iter().flat_map(|name| ["--test", name]));
    let programs = programs::executables(build)?;
    ensure!(!programs.is_empty(), "cargo made no test programs");
    Ok(programs)
}

fn next(programs: &Mutex<VecDeque<PathBuf>>) -> Option<PathBuf> {
    programs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn run_one(program: &Path, arguments: &Arguments) -> Result<Count> {
    let mut command = Command::new(program);
    command.current_dir(project::root().join("tests")).stdin(Stdio::null());
    arguments.tell(&mut command);
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{}{text}", String::from_utf8_lossy(&output.stderr));
    let mut count = count_results(&text);
    if !output.status.success() && count.failed == 0 {
        println!("test {} ... FAILED\nit ended with {}", name_of(program), output.status);
        count.failed = 1;
    }
    Ok(count)
}

/// The group's name: cargo puts a hash behind it.
fn name_of(program: &Path) -> String {
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    file.rsplit_once('-').map_or(&*file, |(name, _)| name).to_owned()
}

/// Those named first, in that order, then the others as they come.
fn in_order(mut programs: Vec<PathBuf>, first: &[&str]) -> VecDeque<PathBuf> {
    let place = |program: &PathBuf| {
        let name = name_of(program);
        first.iter().position(|first| *first == name).unwrap_or(first.len())
    };
    programs.sort_by_key(place);
    programs.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longest_begins_first() {
        let programs = ["d/a-1f", "d/long-2e", "d/b_c-3d", "d/longest-4c"].map(PathBuf::from);
        let names: Vec<String> =
            in_order(programs.to_vec(), &["longest", "long"]).iter().map(|p| name_of(p)).collect();
        assert_eq!(names, ["longest", "long", "a", "b_c"]);
    }

    #[test]
    fn a_group_that_dies_without_a_result_has_failed() {
        let arguments = Arguments::default();
        let count = run_one(Path::new("/bin/false"), &arguments).unwrap();
        assert_eq!(count, Count { passed: 0, failed: 1 });
    }
}
