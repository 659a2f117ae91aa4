//! What an edge can be told. The defaults are the values to ship, each with its reason.

use std::time::Duration;

use thiserror::Error;

/// Limits and timeouts of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Open connections in all.
    pub connections_max: usize,
    /// Open connections of one address (IPv4) or /64 (IPv6). Loopback is exempt: a proxy on this machine stands there.
    pub connections_per_prefix_max: usize,
    /// Clients that listen to availability at one time; the next is asked to come back.
    pub streams_max: usize,
    /// Requests that are worked on at one time; more are refused before their body is read.
    pub requests_in_flight_max: usize,
    /// Requests a second that one account may send on average; twice as many in a burst.
    pub requests_per_second_per_account: u32,
    /// The head of a request, and the next request on a connection, must be there within this.
    pub header_read_timeout: Duration,
    /// A body must be there within this.
    pub body_read_timeout: Duration,
    /// A request must be answered within this of the end of its head; one whose command has been sent by then is told
    /// that its outcome is not known.
    pub request_timeout: Duration,
    /// A client that takes nothing of an answer for so long is cut off.
    pub write_timeout: Duration,
    /// Requests that are under way at a stop have so long to end.
    pub drain_timeout: Duration,
    /// Access tokens whose check is remembered.
    pub token_cache_capacity: usize,
}

/// A configuration that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nobody could connect.
    #[error("connections_max and connections_per_prefix_max must be 1 or more")]
    Connections,
    /// No request would be answered.
    #[error("requests_in_flight_max and requests_per_second_per_account must be from 1 to 1,000,000")]
    Requests,
    /// Every token would be checked each time, and nobody's requests be counted.
    #[error("token_cache_capacity must be 1,000 or more")]
    Tokens,
    /// A connection would be cut before it could say anything.
    #[error("timeouts must be 100 ms or more")]
    Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_prefix_max: 64,
            streams_max: 10_000,
            requests_in_flight_max: 20_000,
            // Far above what a person or an honest bot needs, far below what one account needs to hurt.
            requests_per_second_per_account: 1_000,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
            token_cache_capacity: 100_000,
        }
    }
}

impl Config {
    /// The longest URL.
    pub const URI_LEN_MAX: usize = 2 * 1024;
    /// The most headers of a request.
    pub const HEADERS_MAX: usize = 64;
    /// The buffer of a connection, which the head of a request has to fit: hyper's own default is 400 KiB, which ten
    /// thousand connections make 4 GB.
    pub const HEADER_LEN_MAX: usize = 16 * 1024;
    /// The longest body, where a route says nothing else.
    pub const BODY_LEN_MAX: usize = 16 * 1024;
    /// The longest body that carries a seat map or many seats.
    pub const LARGE_BODY_LEN_MAX: usize = 1024 * 1024;

    /// A connection on which no request has begun for so long is cut: time for the last one to be answered, for its
    /// answer to be taken, and for a next one to come.
    pub(crate) fn silence_max(&self) -> Duration {
        self.request_timeout + self.write_timeout + self.header_read_timeout
    }

    /// Whether the values go together.
    ///
    /// # Errors
    /// [`ConfigError`], the first that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.connections_max == 0 || self.connections_per_prefix_max == 0 {
            return Err(ConfigError::Connections);
        }
        let requests = [self.requests_in_flight_max as u64, u64::from(self.requests_per_second_per_account)];
        if !requests.iter().all(|requests| (1..=1_000_000).contains(requests)) {
            return Err(ConfigError::Requests);
        }
        if self.token_cache_capacity < 1_000 {
            return Err(ConfigError::Tokens);
        }
        let timeouts = [self.header_read_timeout, self.body_read_timeout, self.request_timeout, self.write_timeout];
        let shortest = timeouts.into_iter().min().unwrap_or_default();
        if shortest < Duration::from_millis(100) { Err(ConfigError::Timeouts) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_cannot_be_set_to_none_at_all() {
        let default = Config::default;
        let cases = [
            (Config { connections_max: 0, ..default() }, ConfigError::Connections),
            (Config { requests_in_flight_max: usize::MAX, ..default() }, ConfigError::Requests),
            (Config { requests_per_second_per_account: 0, ..default() }, ConfigError::Requests),
            (Config { token_cache_capacity: 0, ..default() }, ConfigError::Tokens),
            (Config { write_timeout: Duration::ZERO, ..default() }, ConfigError::Timeouts),
        ];
        assert_eq!(default().validate(), Ok(()));
        for (config, error) in cases {
            assert_eq!(config.validate(), Err(error));
        }
    }
}
