//! The job tokens that all builds share: a GNU make jobserver, with the duties of its owner.
//!
//! Every build holds one token, and `make` takes and returns the others. A killed `make` returns nothing, so the tokens are
//! counted again whenever no build runs. A command that does not use the jobserver gets a share of the tokens.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use jobserver::{Acquired, Client};

use crate::host;
use crate::lock::lock;

/// How long a command without jobserver support waits for its share.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two counts of the free tokens.
const PAUSE: Duration = Duration::from_millis(20);

/// The job tokens.
#[derive(Debug)]
pub struct Tokens {
    client: Client,
    jobs: usize,
    /// How many builds hold a token.
    builds: Mutex<usize>,
    /// Held by the command that takes its share.
    turn: Mutex<()>,
}

/// The token of a build. It is returned on drop.
#[derive(Debug)]
pub struct BuildToken<'t> {
    // Fields drop in order: the token is returned before the build is uncounted.
    _token: Acquired,
    _counted: Counted<'t>,
}

#[derive(Debug)]
struct Counted<'t>(&'t Tokens);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *lock(&self.0.builds) -= 1;
    }
}

impl Tokens {
    /// One token for each of `jobs` jobs.
    ///
    /// # Errors
    /// The pipe of the jobserver cannot be created.
    pub fn new(jobs: usize) -> io::Result<Self> {
        Ok(Self {
            client: Client::new(jobs)?,
            jobs,
            builds: Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// The jobserver that `make` processes inherit.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many tokens are taken; all of them if the jobserver cannot be read.
    pub fn taken(&self) -> usize {
        let free = self.client.available().unwrap_or_default();
        self.jobs.saturating_sub(free)
    }

    /// Waits for the token of a build and takes it.
    ///
    /// # Errors
    /// The pipe cannot be read or written.
    pub fn of_build(&self) -> io::Result<BuildToken<'_>> {
        let counted = {
            let mut builds = lock(&self.builds);
            if *builds == 0 {
                self.count_again()?;
            }
            *builds += 1;
            Counted(self)
        };
        Ok(BuildToken {
            _token: self.client.acquire()?,
            _counted: counted,
        })
    }

    /// Restores the number of tokens while no build holds one.
    fn count_again(&self) -> io::Result<()> {
        let free = self.client.available()?;
        (free..self.jobs).try_for_each(|_| self.client.release_raw())?;
        (self.jobs..free).try_for_each(|_| self.client.acquire().map(Acquired::drop_without_releasing))
    }

    /// The tokens of a command without jobserver support, besides the token of its build. The command gets every free token,
    /// and waits up to [`PATIENCE`] until it has half of all jobs. One command takes its share at a time: the missing tokens
    /// are then held by `make` processes, which return them.
    ///
    /// # Errors
    /// The pipe of the jobserver cannot be read.
    pub fn share(&self) -> io::Result<Vec<Acquired>> {
        let _turn = lock(&self.turn);
        let least = (self.jobs / 2).saturating_sub(1);
        let until = host::instant() + PATIENCE;
        let mut share = Vec::new();
        loop {
            for _ in 0..self.client.available()? {
                share.push(self.client.acquire()?);
            }
            if share.len() >= least || host::instant() >= until {
                return Ok(share);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_a_killed_make_are_restored_for_the_next_build() {
        let tokens = Tokens::new(3).unwrap();
        let lose = || tokens.client.acquire().unwrap().drop_without_releasing();
        let first = tokens.of_build().unwrap();
        lose();
        let second = tokens.of_build().unwrap();
        assert_eq!(tokens.taken(), 3, "a build runs, and its make may hold the token");
        drop((first, second));
        assert_eq!(tokens.taken(), 1);
        let third = tokens.of_build().unwrap();
        assert_eq!(tokens.taken(), 1, "the token of the build");
        drop(third);
        // A token that is returned twice would allow one job too many from now on.
        tokens.client.release_raw().unwrap();
        let _fourth = tokens.of_build().unwrap();
        assert_eq!(tokens.client.available().unwrap(), 2);
    }

    #[test]
    fn a_share_is_every_free_token_and_waits_for_half_of_the_jobs() {
        let tokens = Tokens::new(6).unwrap();
        let _own = tokens.of_build().unwrap();
        let share = tokens.share().unwrap();
        assert_eq!((share.len(), tokens.taken()), (5, 6));
        drop(share);
        assert_eq!(tokens.taken(), 1, "the share was returned");
        // `make` processes hold every token and return two of them later.
        let mut others: Vec<_> = (0..5).map(|_| tokens.client.acquire().unwrap()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    std::thread::sleep(Duration::from_millis(100));
                    others.pop();
                }
            });
            assert_eq!(tokens.share().unwrap().len(), 2);
        });
    }
}
