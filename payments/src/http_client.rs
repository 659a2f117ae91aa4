//! A client for a provider's API: patient to a point, and never taking silence for a no.

use std::sync::Once;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::provider::ProviderError;

/// Who has not answered by then is asked again, under the same name.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes the client.
///
/// # Errors
/// Where the system's root certificates cannot be used.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    // The only crypto that is in the build; a process that has chosen already keeps its choice.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
    builder.redirect(reqwest::redirect::Policy::none()).build()
}

/// Sends a request whose answer is JSON; nothing where the provider knows of no such thing.
pub(crate) async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<Option<T>, ProviderError> {
    let response = request.send().await.map_err(|error| unknown(&error))?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => response.json().await.map(Some).map_err(|error| unknown(&error)),
        // Too early, too often, or in the middle of it: ask again.
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(ProviderError::Unknown(what_it_says(response).await))
        }
        // A wrong key is the operator's to mend: the payment itself is not refused.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ProviderError::Unknown(what_it_says(response).await)),
        status if status.is_client_error() => Err(ProviderError::Refused(what_it_says(response).await)),
        _ => Err(ProviderError::Unknown(what_it_says(response).await)),
    }
}

/// As [`ask`], of something that must be there.
pub(crate) async fn demand<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ProviderError> {
    ask(request).await?.ok_or_else(|| ProviderError::Unknown("there is no such thing there".to_owned()))
}

/// The error without the URL, which may say more than a log should have.
fn unknown(error: &reqwest::Error) -> ProviderError {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off or is not what it should be"
    };
    ProviderError::Unknown(kind.to_owned())
}

async fn what_it_says(response: Response) -> String {
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    let said: String = body.chars().filter(|character| !character.is_control()).take(200).collect();
    format!("{status} {said}")
}
