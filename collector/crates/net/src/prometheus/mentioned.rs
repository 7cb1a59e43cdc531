//! What a block mentions: its secrets and its files.

use config::Secret;

use super::{OAuth2, PrometheusClientConfig, PrometheusTlsConfig};

impl PrometheusClientConfig {
    /// Every secret that is written in the block itself.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        let mut found: Vec<Option<&Secret>> = vec![
            self.basic_auth.as_ref().and_then(|auth| auth.password.as_ref()),
            self.authorization.as_ref().and_then(|auth| auth.credentials.as_ref()),
            self.bearer_token.as_ref(),
            self.tls_config.key.as_ref(),
        ];
        found.extend(self.http_headers.values().flat_map(|header| &header.secrets).map(Some));
        found.extend(self.proxy.proxy_connect_header.values().flatten().map(Some));
        if let Some(oauth2) = &self.oauth2 {
            found.extend([
                oauth2.client_secret.as_ref(),
                oauth2.client_certificate_key.as_ref(),
                oauth2.tls_config.key.as_ref(),
            ]);
            found.extend(oauth2.proxy.proxy_connect_header.values().flatten().map(Some));
        }
        found.into_iter().flatten().collect()
    }

    /// Every file that requests need, with its key.
    #[must_use]
    pub fn files(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        let mut add = |key: &str, file| found.push((key.to_owned(), file));
        if let Some(auth) = &self.basic_auth {
            add("basic_auth::username_file", auth.username_file.as_str());
            add("basic_auth::password_file", &auth.password_file);
        }
        if let Some(auth) = &self.authorization {
            add("authorization::credentials_file", &auth.credentials_file);
        }
        add("bearer_token_file", &self.bearer_token_file);
        for (name, header) in &self.http_headers {
            for (index, file) in header.files.iter().enumerate() {
                add(&format!("http_headers::{name}::files::{index}"), file);
            }
        }
        self.tls_config.files("tls_config", &mut found);
        if let Some(oauth2) = &self.oauth2 {
            oauth2.files(&mut found);
        }
        found.retain(|(_, file)| !file.is_empty());
        found
    }
}

impl OAuth2 {
    fn files<'a>(&'a self, found: &mut Vec<(String, &'a str)>) {
        let secret = if self.is_by_assertion() {
            ("oauth2::client_certificate_key_file", &self.client_certificate_key_file)
        } else {
            ("oauth2::client_secret_file", &self.client_secret_file)
        };
        found.push((secret.0.to_owned(), secret.1.as_str()));
        self.tls_config.files("oauth2::tls_config", found);
    }
}

impl PrometheusTlsConfig {
    fn files<'a>(&'a self, prefix: &str, found: &mut Vec<(String, &'a str)>) {
        for (key, file) in
            [("ca_file", &self.ca_file), ("cert_file", &self.cert_file), ("key_file", &self.key_file)]
        {
            found.push((format!("{prefix}::{key}"), file));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::prometheus;

    #[test]
    fn every_secret_is_found() {
        let config = prometheus(
            "
basic_auth: {username: u, password: s}
authorization: {credentials: s}
bearer_token: s
tls_config: {key: s}
http_headers: {A: {secrets: [s, s], values: [v]}}
proxy_connect_header: {B: [s]}
oauth2: {client_secret: s, client_certificate_key: s, tls_config: {key: s}, proxy_connect_header: {C: [s]}}
",
        );
        assert_eq!(config.secrets().iter().filter(|secret| secret.expose() == "s").count(), 11);
        // As many as are hidden when all of it is shown.
        assert_eq!(format!("{config:?}").matches("<secret>").count(), 11);
    }

    #[test]
    fn every_file_is_found_with_its_key() {
        let config = prometheus(
            "
basic_auth: {username_file: f1, password_file: f2}
authorization: {credentials_file: f3}
bearer_token_file: f4
http_headers: {A: {files: [f5, f6]}}
tls_config: {ca_file: f7, cert_file: f8, key_file: f9}
oauth2: {client_secret_file: f10, client_certificate_key_file: unused, tls_config: {ca_file: f11}}
",
        );
        let files: Vec<String> =
            config.files().into_iter().map(|(key, file)| format!("{key}={file}")).collect();
        assert_eq!(
            files,
            [
                "basic_auth::username_file=f1",
                "basic_auth::password_file=f2",
                "authorization::credentials_file=f3",
                "bearer_token_file=f4",
                "http_headers::A::files::0=f5",
                "http_headers::A::files::1=f6",
                "tls_config::ca_file=f7",
                "tls_config::cert_file=f8",
                "tls_config::key_file=f9",
                "oauth2::client_secret_file=f10",
                "oauth2::tls_config::ca_file=f11",
            ]
        );
    }
}
