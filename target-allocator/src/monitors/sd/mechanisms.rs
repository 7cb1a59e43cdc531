//! The table of mechanisms: which field of a ScrapeConfig becomes which key of Prometheus.

use std::borrow::Cow;

/// A way to find targets.
pub(in crate::monitors) struct Mechanism {
    /// The field of a ScrapeConfig.
    pub(super) field: &'static str,
    /// The key of Prometheus.
    pub(super) key: &'static str,
    /// What its sections say of how a server is reached, too.
    pub(super) client: ClientFields,
    pub(super) fields: &'static [Field],
}

/// What a section says of how a server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientFields {
    /// Nothing.
    None,
    /// TLS alone.
    Tls,
    /// Everything.
    All,
}

impl ClientFields {
    /// The fields of a ScrapeConfig.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Tls => &["tlsConfig"],
            Self::All => &[
                "authorization",
                "basicAuth",
                "enableHTTP2",
                "followRedirects",
                "noProxy",
                "oauth2",
                "proxyConnectHeader",
                "proxyFromEnvironment",
                "proxyUrl",
                "tlsConfig",
            ],
        }
    }

    /// Whether a key of Prometheus is among them.
    pub(super) fn has(self, key: &str) -> bool {
        self == Self::All || (self == Self::Tls && key == "tls_config")
    }
}

/// A field of a section.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// The key; empty where it is the name in snake case.
    key: &'static str,
    pub(super) shape: Shape,
}

/// How a field becomes a key.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// A word, in lower case.
    Lower,
    /// A key of a Secret: what it holds.
    Secret,
    /// A list of names with values, in order of name.
    Filters,
    /// Namespaces of Kubernetes.
    Namespaces,
    /// Selectors of Kubernetes.
    Selectors,
}

impl Field {
    pub(super) fn key(&self) -> Cow<'static, str> {
        if self.key.is_empty() { snake_case(self.name).into() } else { self.key.into() }
    }
}

/// `refreshInterval` as `refresh_interval`.
fn snake_case(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            key.push('_');
        }
        key.push(c.to_ascii_lowercase());
    }
    key
}

const fn plain(name: &'static str) -> Field {
    Field { name, key: "", shape: Shape::Plain }
}

const fn named(name: &'static str, key: &'static str) -> Field {
    Field { name, key, shape: Shape::Plain }
}

const fn lower(name: &'static str) -> Field {
    Field { name, key: "", shape: Shape::Lower }
}

const fn secret(name: &'static str) -> Field {
    Field { name, key: "", shape: Shape::Secret }
}

const REFRESH: Field = plain("refreshInterval");
const PORT: Field = plain("port");

/// A mechanism that asks a server.
const fn server(field: &'static str, key: &'static str, fields: &'static [Field]) -> Mechanism {
    Mechanism { field, key, client: ClientFields::All, fields }
}

/// A mechanism without such keys.
const fn bare(field: &'static str, key: &'static str, fields: &'static [Field]) -> Mechanism {
    Mechanism { field, key, client: ClientFields::None, fields }
}

/// Every mechanism of prometheus-operator 0.93.
pub(in crate::monitors) const MECHANISMS: &[Mechanism] = &[
    bare("staticConfigs", "static_configs", &[plain("targets"), plain("labels")]),
    bare("fileSDConfigs", "file_sd_configs", &[plain("files"), REFRESH]),
    server("httpSDConfigs", "http_sd_configs", &[plain("url"), REFRESH]),
    bare("dnsSDConfigs", "dns_sd_configs", &[plain("names"), REFRESH, plain("type"), PORT]),
    server(
        "kubernetesSDConfigs",
        "kubernetes_sd_configs",
        &[
            plain("apiServer"),
            lower("role"),
            Field { name: "namespaces", key: "", shape: Shape::Namespaces },
            plain("attachMetadata"),
            Field { name: "selectors", key: "", shape: Shape::Selectors },
        ],
    ),
    server(
        "consulSDConfigs",
        "consul_sd_configs",
        &[
            plain("server"),
            plain("pathPrefix"),
            Field { name: "tokenRef", key: "token", shape: Shape::Secret },
            plain("datacenter"),
            plain("namespace"),
            plain("partition"),
            lower("scheme"),
            plain("services"),
            plain("tags"),
            plain("tagSeparator"),
            plain("nodeMeta"),
            plain("filter"),
            plain("healthFilter"),
            plain("allowStale"),
            REFRESH,
        ],
    ),
    server(
        "ec2SDConfigs",
        "ec2_sd_configs",
        &[
            plain("region"),
            secret("accessKey"),
            secret("secretKey"),
            named("roleARN", "role_arn"),
            PORT,
            REFRESH,
            Field { name: "filters", key: "", shape: Shape::Filters },
        ],
    ),
    server(
        "azureSDConfigs",
        "azure_sd_configs",
        &[
            plain("environment"),
            plain("authenticationMethod"),
            named("subscriptionID", "subscription_id"),
            named("tenantID", "tenant_id"),
            named("clientID", "client_id"),
            secret("clientSecret"),
            plain("resourceGroup"),
            REFRESH,
            PORT,
        ],
    ),
    bare(
        "gceSDConfigs",
        "gce_sd_configs",
        &[plain("project"), plain("zone"), plain("filter"), REFRESH, PORT, plain("tagSeparator")],
    ),
    Mechanism {
        field: "openstackSDConfigs",
        key: "openstack_sd_configs",
        client: ClientFields::Tls,
        fields: &[
            lower("role"),
            plain("region"),
            plain("identityEndpoint"),
            plain("username"),
            plain("userid"),
            secret("password"),
            plain("domainName"),
            named("domainID", "domain_id"),
            plain("projectName"),
            named("projectID", "project_id"),
            plain("applicationCredentialName"),
            plain("applicationCredentialId"),
            secret("applicationCredentialSecret"),
            plain("allTenants"),
            REFRESH,
            PORT,
            lower("availability"),
        ],
    },
    server("digitalOceanSDConfigs", "digitalocean_sd_configs", &[PORT, REFRESH]),
    server(
        "kumaSDConfigs",
        "kuma_sd_configs",
        &[plain("server"), named("clientID", "client_id"), REFRESH, plain("fetchTimeout")],
    ),
    server("eurekaSDConfigs", "eureka_sd_configs", &[plain("server"), REFRESH]),
    server(
        "dockerSDConfigs",
        "docker_sd_configs",
        &[
            plain("host"),
            PORT,
            plain("hostNetworkingHost"),
            plain("matchFirstNetwork"),
            Field { name: "filters", key: "", shape: Shape::Filters },
            REFRESH,
        ],
    ),
    server(
        "dockerSwarmSDConfigs",
        "dockerswarm_sd_configs",
        &[
            plain("host"),
            lower("role"),
            PORT,
            Field { name: "filters", key: "", shape: Shape::Filters },
            REFRESH,
        ],
    ),
    server("linodeSDConfigs", "linode_sd_configs", &[plain("region"), PORT, plain("tagSeparator"), REFRESH]),
    server("hetznerSDConfigs", "hetzner_sd_configs", &[lower("role"), PORT, REFRESH, plain("labelSelector")]),
    server(
        "nomadSDConfigs",
        "nomad_sd_configs",
        &[
            plain("allowStale"),
            plain("namespace"),
            REFRESH,
            plain("region"),
            plain("server"),
            plain("tagSeparator"),
        ],
    ),
    server(
        "puppetDBSDConfigs",
        "puppetdb_sd_configs",
        &[plain("url"), plain("query"), plain("includeParameters"), REFRESH, PORT],
    ),
    server(
        "lightSailSDConfigs",
        "lightsail_sd_configs",
        &[
            plain("region"),
            secret("accessKey"),
            secret("secretKey"),
            named("roleARN", "role_arn"),
            plain("endpoint"),
            REFRESH,
            PORT,
        ],
    ),
    bare(
        "ovhcloudSDConfigs",
        "ovhcloud_sd_configs",
        &[
            plain("applicationKey"),
            secret("applicationSecret"),
            secret("consumerKey"),
            lower("service"),
            plain("endpoint"),
            REFRESH,
        ],
    ),
    server(
        "scalewaySDConfigs",
        "scaleway_sd_configs",
        &[
            plain("accessKey"),
            secret("secretKey"),
            named("projectID", "project_id"),
            lower("role"),
            PORT,
            named("apiURL", "api_url"),
            plain("zone"),
            plain("nameFilter"),
            plain("tagsFilter"),
            REFRESH,
        ],
    ),
    server("ionosSDConfigs", "ionos_sd_configs", &[named("datacenterID", "datacenter_id"), PORT, REFRESH]),
];

#[cfg(test)]
mod tests {
    use super::MECHANISMS;

    #[test]
    fn every_mechanism_is_one_that_jobs_know() {
        let schema = config::schema_of::<discovery::SdConfigs>().to_string();
        for mechanism in MECHANISMS {
            assert!(schema.contains(&format!("\"{}\"", mechanism.key)), "{}", mechanism.key);
        }
    }
}
