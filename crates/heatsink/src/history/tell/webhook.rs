//! Calls the webhook.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use super::alert::{self, News, Telling};
use crate::webhook_url::WebhookUrl;

/// How long one try may take, from the name of the host to the head of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// The times between tries.
const BACKOFF: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Calls the webhook for all news, one after the other.
pub(super) fn run(url: &WebhookUrl, news: Receiver<News>, telling: &Telling) {
    for news in news {
        let body = alert::message(&news, telling);
        match deliver(url, system_roots, &body, thread::sleep) {
            Ok(()) => tracing::info!("told {url} of incident {}", news.incident.number),
            Err(why) => {
                tracing::warn!("cannot tell {url} of incident {}: {why}", news.incident.number);
            }
        }
    }
}

/// Why a try failed.
struct Failure {
    why: String,
    /// Whether the next try may succeed.
    is_temporary: bool,
}

/// Posts the message, several times if that may help. `pause` is called between tries.
fn deliver(
    url: &WebhookUrl,
    roots: impl Fn() -> RootCertStore,
    body: &str,
    pause: impl Fn(Duration),
) -> Result<(), String> {
    let mut backoff = BACKOFF.iter();
    loop {
        let Err(failure) = post(url, roots(), body) else { return Ok(()) };
        match backoff.next().filter(|_| failure.is_temporary) {
            Some(time) => {
                tracing::debug!("{url}: {}; trying again", failure.why);
                pause(*time);
            }
            None => return Err(failure.why),
        }
    }
}

/// One try. Redirects are not followed: the message is for this host alone.
fn post(url: &WebhookUrl, roots: RootCertStore, body: &str) -> Result<(), Failure> {
    let temporary = |why: String| Failure { why, is_temporary: true };
    let lasting = |why: String| Failure { why, is_temporary: false };
    if roots.is_empty() && url.uri.scheme() == Some(&Scheme::HTTPS) {
        let why = "this system has no certificates to trust; set SSL_CERT_FILE to a file of them";
        return Err(lasting(why.to_owned()));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let tls = tls(roots).map_err(|error| lasting(chain(&error)))?;
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    let client = Client::builder(TokioExecutor::new()).build(https.wrap_connector(http));
    let mut request = Request::post(&url.uri)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("heatsink/", env!("CARGO_PKG_VERSION")))
        .body(body.to_owned())
        .map_err(|error| lasting(chain(&error)))?;
    if let Some(authorization) = &url.authorization {
        let header = HeaderValue::from_str(authorization);
        let mut header = header.map_err(|error| lasting(chain(&error)))?;
        header.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, header);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| temporary(chain(&error)))?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(DEADLINE, client.request(request)).await });
    // A name that is being looked up may take longer than the deadline.
    runtime.shutdown_background();
    let status = match answer {
        Err(_) => Err(temporary(format!("no answer within {} s", DEADLINE.as_secs()))),
        Ok(Err(error)) => Err(temporary(chain(&error))),
        Ok(Ok(answer)) => Ok(answer.status()),
    }?;
    if status.is_success() {
        return Ok(());
    }
    let why = match status.is_redirection() {
        true => format!("it answers {status}; redirects are not followed"),
        false => format!("it answers {status}"),
    };
    let is_temporary = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    Err(Failure { why, is_temporary })
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config?.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates that this system trusts; those in `SSL_CERT_FILE` and `SSL_CERT_DIR` if these are set.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a text cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    crate::message::one_line(&text)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::super::alert::tests::{news, telling};
    use super::*;

    /// A request that a test's server got.
    pub(in super::super) struct Taken {
        pub(in super::super) head: String,
        pub(in super::super) body: String,
    }

    /// Serves on a free port until the test ends, a request for each connection. `answer` gives the status
    /// line without the version, and more headers. Returns the URL.
    pub(in super::super) fn serve(
        tls: Option<Arc<ServerConfig>>,
        mut answer: impl FnMut(Taken) -> String + Send + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (scheme, host) = match tls {
            Some(_) => ("https", format!("localhost:{}", address.port())),
            None => ("http", address.to_string()),
        };
        let serving = thread::Builder::new().name("hook".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                match &tls {
                    None => answer_one(stream, &mut answer),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).expect("TLS");
                        answer_one(StreamOwned::new(connection, stream), &mut answer);
                    }
                }
            }
        });
        serving.expect("a thread");
        format!("{scheme}://{host}/hook?key=s3cret")
    }

    fn answer_one(stream: impl Read + Write, answer: &mut impl FnMut(Taken) -> String) {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            head += &line;
        }
        if head.is_empty() {
            return;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        let body = String::from_utf8(body).expect("UTF-8");
        let status = answer(Taken { head, body });
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = reader.get_mut().write_all(answer.as_bytes());
        let _ = reader.get_mut().flush();
    }

    /// Delivers to a server that gives these answers, the last one again and again. Returns the result, and
    /// how often it was asked.
    fn delivered(answers: &'static [&'static str]) -> (Result<(), String>, usize) {
        let asked = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&asked);
        let url = serve(None, move |_| {
            let mut asked = counted.lock().unwrap();
            let answer = answers.get(*asked).or(answers.last()).unwrap();
            *asked += 1;
            (*answer).to_owned()
        });
        let url = WebhookUrl::parse(&url).unwrap();
        let result = deliver(&url, RootCertStore::empty, "{}", |_| ());
        (result, *asked.lock().unwrap())
    }

    #[test]
    fn a_message_is_posted_as_json_with_the_credentials_of_the_url() {
        let (took, taken) = channel();
        let url = serve(None, move |request| {
            let _ = took.send(request);
            "204 No Content".to_owned()
        });
        let url = WebhookUrl::parse(&url.replace("://", "://ann:secret@")).unwrap();
        let message = alert::message(&news(17, false), &telling());
        assert_eq!(deliver(&url, RootCertStore::empty, &message, |_| ()), Ok(()));
        let Taken { head, body } = taken.recv().unwrap();
        assert!(head.starts_with("POST /hook?key=s3cret HTTP/1.1\r\n"), "{head}");
        for header in [
            "content-type: application/json\r\n",
            "authorization: Basic YW5uOnNlY3JldA==\r\n",
            &format!("host: {}\r\n", url.uri.authority().unwrap()),
        ] {
            assert!(head.contains(header), "{head}");
        }
        assert_eq!(body, message);
    }

    #[test]
    fn what_may_pass_is_tried_three_times_and_what_will_not_once() {
        assert_eq!(delivered(&["503 Busy", "429 Too Many Requests", "200 OK"]), (Ok(()), 3));
        let unavailable = Err("it answers 503 Service Unavailable".to_owned());
        assert_eq!(delivered(&["503 Busy"]), (unavailable, 3));
        let not_found = Err("it answers 404 Not Found".to_owned());
        assert_eq!(delivered(&["404 Nothing"]), (not_found, 1));
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (result, asked) = delivered(&["302 Found\r\nLocation: http://127.0.0.1:1/"]);
        let why = "it answers 302 Found; redirects are not followed";
        assert_eq!((result, asked), (Err(why.to_owned()), 1));
    }

    #[test]
    fn a_refused_connection_is_told_without_the_secrets_of_the_url() {
        let address = testkit::server::free_address();
        let url = WebhookUrl::parse(&format!("http://ann:pw@{address}/s3cret?key=s3cret"));
        let url = url.unwrap();
        let why =
            deliver(&url, RootCertStore::empty, "{}", |_| ()).expect_err("the port is closed");
        let message = format!("{url}: {why}");
        assert!(message.contains("refused") && message.contains(&address), "{message}");
        assert!(!message.contains("s3cret") && !message.contains("pw"), "{message}");
    }

    #[test]
    fn https_needs_a_certificate_that_is_trusted() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let url = serve(Some(Arc::new(config)), |_| "200 OK".to_owned());
        let url = WebhookUrl::parse(&url).unwrap();
        let deliver_trusting = |certificates: &[CertificateDer<'static>]| {
            let roots = || {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates.iter().cloned());
                roots
            };
            deliver(&url, roots, "{}", |_| ())
        };
        assert_eq!(deliver_trusting(&[certificate]), Ok(()));
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let why = deliver_trusting(&[other.cert.der().clone()]).expect_err("not trusted");
        assert!(why.contains("invalid peer certificate"), "{why}");
        let why = deliver_trusting(&[]).expect_err("nothing is trusted");
        assert!(why.contains("SSL_CERT_FILE"), "{why}");
    }
}
