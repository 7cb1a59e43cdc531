//! Lists, in pages.

use std::sync::Arc;

use serde::Deserialize;

use crate::api::{Api, MAX_PAGE_BYTES, collection, get};
use crate::failure::{Failure, Reason};
use crate::objects::Object;
use crate::store::Store;
use crate::{Kind, Scope};

/// Objects on a page.
const PAGE: usize = 500;

/// Wants of an object all that is there.
pub(crate) const JSON: &str = "application/json";

/// Wants only the metadata; servers that do not know how send everything.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A page.
#[derive(Deserialize)]
struct Page<T> {
    metadata: ListMetadata,
    #[serde(default = "Option::default", bound = "T: Deserialize<'de>")]
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: Option<Arc<str>>,
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Reads the whole list, page by page, and gives it back with the version at which it was whole. The first page asks for
/// the newest state; the others continue at its version, and when that has expired the list has to begin anew.
pub(crate) async fn list<T: Object>(
    api: &Api,
    kind: Kind,
    scope: &Scope,
    store: &Store<T>,
) -> Result<(Vec<T>, Arc<str>), Failure> {
    let accept = if T::IS_METADATA_ONLY { METADATA_LIST } else { JSON };
    let limit = PAGE.to_string();
    let mut listed = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let continued = next.as_deref().map(|token| ("continue", token));
        let parameters: Vec<(&str, &str)> =
            [("limit", limit.as_str())].into_iter().chain(continued).collect();
        let path = collection(kind, scope, &parameters);
        let body = api.read(get(&path, accept), MAX_PAGE_BYTES, "MAX_PAGE_BYTES").await?;
        store.heard();
        let page: Page<T> = serde_json::from_slice(&body).map_err(|error| {
            Failure::new(Reason::BadAnswer, format!("the list is not as it should be: {error}"))
        })?;
        listed.extend(page.items.unwrap_or_default());
        next = page.metadata.next.filter(|token| !token.is_empty());
        if next.is_none() {
            let version = page.metadata.resource_version.filter(|version| !version.is_empty());
            let missing = || Failure::new(Reason::BadAnswer, "the list has no resourceVersion");
            return Ok((listed, version.ok_or_else(missing)?));
        }
    }
}
