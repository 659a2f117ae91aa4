//! The API's description, generated from the handlers and the types of the contract.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi};

use crate::routes::{
    accounts, availability, blocks, bookings, catalogue, deployments, document, guests, holds, incidents, members,
    operating, payments, performances, selling, shows, tickets, watching, wishes,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Onrush", description = "The booking engine for ticket rushes.", license(name = "Apache-2.0")),
    paths(
        shows::create, shows::list, shows::own, shows::read, shows::change, members::list, members::invite, members::remove,
        performances::add, performances::read, performances::change, performances::cancel, performances::seat_map, availability::read, availability::stream,
        wishes::make, holds::hold, holds::read, holds::release,
        bookings::book, bookings::list, bookings::read, bookings::cancel,
        bookings::approve, bookings::reject, payments::notice, document::read, guests::come_back,
        tickets::list, tickets::keys, tickets::read, tickets::qr, tickets::transfer, tickets::check_in, tickets::scan,
        selling::list_sold, selling::sales, blocks::block, blocks::lift,
        accounts::sign_up, accounts::read, accounts::change, accounts::close, accounts::make_key, accounts::list_keys,
        accounts::revoke_key, accounts::sign_in, accounts::refresh, accounts::sign_out,
        catalogue::images, catalogue::register, catalogue::image, catalogue::delete_image,
        catalogue::templates, catalogue::template, catalogue::make_template, catalogue::put_template, catalogue::delete_template, catalogue::render,
        deployments::deploy, deployments::list, deployments::read, deployments::change,
        deployments::delete, deployments::scale, deployments::relocate, deployments::token,
        watching::usage, watching::costs, watching::policies, watching::put_policies, watching::nodes, watching::anomalies,
        incidents::list, incidents::open, incidents::summary, incidents::read, incidents::change,
        operating::health, operating::ready, operating::metrics,
    ),
    components(schemas(onrush_api::problem::ProblemBody)),
    modifiers(&BearerToken, &Problems),
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

/// Whatever is not described otherwise is a problem: of the kinds that any call may meet, and of each call's own.
struct Problems;

impl Modify for Problems {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let problem = || Content::new(Some(Ref::from_schema_name("Problem"))).into();
        let operations = openapi.paths.paths.values_mut().flat_map(|item| {
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        });
        for operation in operations {
            let responses = &mut operation.responses.responses;
            let any = || RefOr::T(Response::new("A problem, as `/problems/{slug}` explains it."));
            responses.entry("default".to_owned()).or_insert_with(any);
            for (status, response) in responses {
                if let RefOr::T(response) = response
                    && !status.starts_with('2')
                    && !status.starts_with('3')
                {
                    response.content.insert("application/problem+json".to_owned(), problem());
                }
            }
        }
    }
}

/// The description as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::TABLE;

    /// `{…}` in a description stands for what is `*` in the table.
    fn pattern(path: &str) -> String {
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
        segments.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_route_is_described() {
        let description = serde_json::to_value(openapi()).expect("a description is JSON");
        let paths = description["paths"].as_object().expect("paths");
        for (route, method, path) in TABLE {
            let method = method.as_str().to_lowercase();
            let is_its =
                |(known, item): (&String, &serde_json::Value)| pattern(known) == *path && item[&method].is_object();
            // The pages that describe are no part of what is described.
            let is_page = ["/openapi.json", "/docs", "/problems/*", "/"].contains(path);
            assert!(is_page || paths.iter().any(is_its), "{route:?}: {method} {path} is not described");
        }
    }
}
