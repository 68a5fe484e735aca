//! The tokens that all builds share: a jobserver of GNU make's, with what its protocol leaves to whoever owns it.
//!
//! Every build holds one token throughout, and makes take and return the others. A make that is killed returns none:
//! so the tokens are counted again whenever nothing is built. A command that knows no jobserver gets a share for itself.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use jobserver::{Acquired, Client};

use crate::host;
use crate::lock::lock;

/// How long a command that knows no jobserver waits for its share.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks at what is free.
const PAUSE: Duration = Duration::from_millis(20);

/// The tokens.
#[derive(Debug)]
pub struct Tokens {
    client: Client,
    jobs: usize,
    /// How many builds hold one.
    builds: Mutex<usize>,
    /// The turn to take several.
    turn: Mutex<()>,
}

/// The token of a build, until it is dropped.
#[derive(Debug)]
pub struct BuildToken<'t> {
    // Given back before the build is no longer counted.
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
    /// As many tokens as there may be jobs.
    ///
    /// # Errors
    /// The pipe for them cannot be made.
    pub fn new(jobs: usize) -> io::Result<Self> {
        Ok(Self {
            client: Client::new(jobs)?,
            jobs,
            builds: Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// What makes are handed.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many jobs run now, as far as they have a token; all of them where that cannot be found out.
    pub fn taken(&self) -> usize {
        let free = self.client.available().unwrap_or_default();
        self.jobs.saturating_sub(free)
    }

    /// Takes the token of a build; waits for it.
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

    /// Puts every token where it belongs while nobody holds one.
    fn count_again(&self) -> io::Result<()> {
        let free = self.client.available()?;
        (free..self.jobs).try_for_each(|_| self.client.release_raw())?;
        (self.jobs..free).try_for_each(|_| self.client.acquire().map(Acquired::drop_without_releasing))
    }

    /// The tokens of a command that knows no jobserver, besides the one of its build: all that are free, and so many that
    /// it has half of all jobs at least, for which it waits a while. Only one takes its share at a time: what it waits
    /// for is then with makes, which give it back, and not with another that waits.
    ///
    /// # Errors
    /// The pipe cannot be read.
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
    fn tokens_that_a_killed_make_took_with_it_are_back_with_the_next_build() {
        let tokens = Tokens::new(3).unwrap();
        let lose = || tokens.client.acquire().unwrap().drop_without_releasing();
        let first = tokens.of_build().unwrap();
        lose();
        let second = tokens.of_build().unwrap();
        assert_eq!(tokens.taken(), 3, "one build runs: it may be that make's own");
        drop((first, second));
        assert_eq!(tokens.taken(), 1);
        let third = tokens.of_build().unwrap();
        assert_eq!(tokens.taken(), 1, "the build's own");
        drop(third);
        // One that is returned twice would be one job too many for ever.
        tokens.client.release_raw().unwrap();
        let _fourth = tokens.of_build().unwrap();
        assert_eq!(tokens.client.available().unwrap(), 2);
    }

    #[test]
    fn a_share_is_all_that_is_free_and_half_of_the_jobs_is_waited_for() {
        let tokens = Tokens::new(6).unwrap();
        let _own = tokens.of_build().unwrap();
        let share = tokens.share().unwrap();
        assert_eq!((share.len(), tokens.taken()), (5, 6));
        drop(share);
        assert_eq!(tokens.taken(), 1, "and given back");
        // All are with makes, which return two after a while.
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
