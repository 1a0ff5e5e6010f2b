//! Certificates (PKI) and kubeconfigs: one authority for the whole cluster, as short-lived as the cluster.
//!
//! User and groups are a client certificate's common name and organizations (Kubernetes, "Authenticating": X.509).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::{Error, write, write_json};

/// The cluster's authority, and the folder that everything is written to.
pub struct Authority {
    folder: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Files of a certificate and its key, PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Where a kubeconfig leads.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// URL of the API.
    pub server: &'a str,
    /// The name its certificate has, if not the URL's.
    pub server_name: Option<&'a str>,
}

impl Authority {
    /// A new one: `ca.crt` in the folder, the keys for signatures of tokens in `sa.key` and `sa.pub`.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?.pem();
        let authority = Self { folder: folder.to_owned(), certificate, issuer: Issuer::new(params, key) };
        write(&authority.certificate_file(), &authority.certificate)?;
        let token = KeyPair::generate()?;
        write(&authority.token_key(), token.serialize_pem())?;
        write(&authority.token_public_key(), token.public_key_pem())?;
        Ok(authority)
    }

    /// File of the authority's certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// File of the key that signs tokens of service accounts.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.folder.join("sa.key")
    }

    /// File of the key by which signatures of tokens are checked.
    #[must_use]
    pub fn token_public_key(&self) -> PathBuf {
        self.folder.join("sa.pub")
    }

    /// A server's certificate for these names and addresses: `NAME.crt`, `NAME.key`.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn server(&self, name: &str, names: &[&str], addresses: &[IpAddr]) -> Result<Pair, Error> {
        let mut all: Vec<String> = names.iter().map(ToString::to_string).collect();
        // Those that are addresses become names of that kind.
        all.extend(addresses.iter().map(ToString::to_string));
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.keep(name, self.sign(params)?)
    }

    /// A client's certificate and key, as files: `NAME.crt`, `NAME.key`.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn client(&self, name: &str, user: &str, group: Option<&str>) -> Result<Pair, Error> {
        self.keep(name, self.sign_client(user, group)?)
    }

    fn keep(&self, name: &str, (certificate, key): (String, String)) -> Result<Pair, Error> {
        let file = |ending| self.folder.join(format!("{name}.{ending}"));
        let pair = Pair { certificate: file("crt"), key: file("key") };
        write(&pair.certificate, certificate)?;
        write(&pair.key, key)?;
        Ok(pair)
    }

    /// Writes a kubeconfig for a user with everything in it.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn kubeconfig(
        &self,
        path: &Path,
        endpoint: Endpoint<'_>,
        user: &str,
        group: Option<&str>,
    ) -> Result<(), Error> {
        let (certificate, key) = self.sign_client(user, group)?;
        let mut cluster = json!({
            "server": endpoint.server,
            "certificate-authority-data": base64(&self.certificate),
        });
        if let (Some(name), Value::Object(cluster)) = (endpoint.server_name, &mut cluster) {
            cluster.insert("tls-server-name".to_owned(), name.into());
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kubernetes",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "contexts": [{"name": "kubernetes", "context": {"cluster": "kubernetes", "user": user}}],
            "users": [{"name": user, "user": {
                "client-certificate-data": base64(&certificate),
                "client-key-data": base64(&key),
            }}],
        });
        write_json(path, &config)
    }

    fn sign_client(&self, user: &str, group: Option<&str>) -> Result<(String, String), Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<(String, String), Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// As kubeconfigs have files in them (RFC 4648 section 4).
fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_for_their_owners_eyes() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        let pair = authority.server("apiserver", &["kubernetes"], &["10.0.0.1".parse().unwrap()]).unwrap();
        let endpoint = Endpoint { server: "https://10.0.0.1:6443", server_name: None };
        let config = folder.path().join("admin.conf");
        authority.kubeconfig(&config, endpoint, "admin", Some("system:masters")).unwrap();
        for path in [pair.key, config, authority.token_key()] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
        let text = std::fs::read_to_string(pair.certificate).unwrap();
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----"), "{text}");
    }
}
