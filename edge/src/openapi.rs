//! The API's description, generated from the handlers and the types of the contract.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{
    accounts, availability, blocks, bookings, document, holds, members, operating, payments, performances, selling,
    shows, tickets,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Onrush", description = "The booking engine for ticket rushes.", license(name = "Apache-2.0")),
    paths(
        shows::create, shows::list, shows::read, shows::change, members::list, members::invite, members::remove,
        performances::add, performances::read, performances::change, performances::cancel, performances::seat_map, availability::read,
        holds::hold, holds::read, holds::release,
        bookings::book, bookings::list, bookings::read, bookings::cancel,
        bookings::approve, bookings::reject, payments::notice, document::read,
        tickets::list, tickets::keys, tickets::read, tickets::qr, tickets::transfer, tickets::check_in,
        selling::list_sold, selling::sales, blocks::block, blocks::lift,
        accounts::sign_up, accounts::read, accounts::change, accounts::close, accounts::make_key, accounts::list_keys,
        accounts::revoke_key, accounts::sign_in, accounts::refresh, accounts::sign_out,
        operating::health, operating::ready, operating::metrics,
    ),
    components(schemas(onrush_api::problem::ProblemBody)),
    modifiers(&BearerToken),
)]
struct Api;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The description as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}
