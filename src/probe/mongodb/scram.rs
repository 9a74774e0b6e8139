//! SCRAM-SHA-256 (RFC 5802, RFC 7677) over `saslStart` and `saslContinue`.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::spec::BinarySubtype;
use bson::{Binary, rawdoc};
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2};

use super::accepted;
use super::wire::{Reply, Wire};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::server::Secret;
use crate::probe::check::LookError;
use crate::probe::replica::rejected;

/// Rounds of hashing: fewer weaken the password, more cost more than a look may.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

/// A conversation in progress: what the client has said first.
pub(super) struct Client {
    nonce: String,
    first_bare: String,
}

/// What the client says last, and what the server must prove then.
pub(super) struct Proof {
    pub message: String,
    server_key: hmac::Key,
    signed: String,
}

/// Why a conversation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server's message is no SCRAM.
    Malformed,
    /// The server does not know the password itself.
    Impostor,
}

impl Client {
    pub fn new(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { first_bare: format!("n={user},r={nonce}"), nonce }
    }

    /// The client-first-message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Answers the server-first-message. Hashes the password as often as the server asks: not for a runtime's thread.
    pub fn prove(&self, server_first: &str, password: &str) -> Result<Proof, Failure> {
        let (nonce, salt, rounds) = parse_first(server_first).ok_or(Failure::Malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Failure::Malformed);
        }
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        // "biws": the header "n,," that says that no channel is bound.
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref()), signed.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salted, b"Server Key").as_ref());
        Ok(Proof { message: format!("{without_proof},p={}", BASE64.encode(proof)), server_key, signed })
    }
}

impl Proof {
    /// Whether the server-final-message shows that the server knows the password.
    pub fn verify(&self, server_final: &str) -> Result<(), Failure> {
        let signature = server_final.split(',').find_map(|field| field.strip_prefix("v="));
        let signature = signature.and_then(|s| BASE64.decode(s).ok()).ok_or(Failure::Malformed)?;
        hmac::verify(&self.server_key, self.signed.as_bytes(), &signature).map_err(|_| Failure::Impostor)
    }
}

/// Nonce, salt and rounds.
fn parse_first(message: &str) -> Option<(&str, Vec<u8>, NonZeroU32)> {
    let mut fields = message.split(',');
    let nonce = fields.next()?.strip_prefix("r=")?;
    let salt = BASE64.decode(fields.next()?.strip_prefix("s=")?).ok()?;
    let rounds: u32 = fields.next()?.strip_prefix("i=")?.parse().ok()?;
    Some((nonce, salt, NonZeroU32::new(rounds).filter(|_| ROUNDS.contains(&rounds))?))
}

/// Authenticates a connection.
pub(super) async fn authenticate(
    wire: &mut Wire,
    user: &str,
    password: &Secret,
    database: &str,
    address: &Address,
) -> Result<(), LookError> {
    let failed = |failure| match failure {
        Failure::Malformed => LookError::fault(DownCause::Protocol, format!("{address} answers with no valid SCRAM")),
        Failure::Impostor => rejected(address, "it does not know the password itself"),
    };
    let mut random = [0; 24];
    ring::rand::SystemRandom::new().fill(&mut random).map_err(|_| LookError::hindered("no randomness"))?;
    let client = Client::new(user, BASE64.encode(random));
    let start = rawdoc! {
        "saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": payload(client.first()),
        "options": { "skipEmptyExchange": true }, "$db": database,
    };
    let reply = wire.command(start).await?;
    let first = text(&reply, address)?;
    let conversation = conversation(&reply);
    // RFC 7677 section 4; what the profile forbids is sent as it is, and refused by the server.
    let password = stringprep::saslprep(password.expose()).unwrap_or(password.expose().into()).into_owned();
    let proving = tokio::task::spawn_blocking(move || client.prove(&first, &password)).await;
    let proof = proving.map_err(|e| LookError::hindered(e.to_string()))?.map_err(failed)?;
    let proceed = rawdoc! {
        "saslContinue": 1, "conversationId": conversation, "payload": payload(proof.message.clone()), "$db": database,
    };
    let reply = wire.command(proceed).await?;
    proof.verify(&text(&reply, address)?).map_err(failed)?;
    if accepted(&reply, address)?.get_bool("done").unwrap_or(false) { Ok(()) } else { Err(failed(Failure::Malformed)) }
}

fn payload(message: String) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: message.into_bytes() }
}

fn conversation(reply: &Reply) -> i32 {
    reply.outcome().ok().and_then(|reply| reply.get_i32("conversationId").ok()).unwrap_or(1)
}

/// The server's message.
fn text(reply: &Reply, address: &Address) -> Result<String, LookError> {
    let payload = accepted(reply, address)?.get_binary("payload").ok();
    let text = payload.and_then(|payload| String::from_utf8(payload.bytes.to_vec()).ok());
    text.ok_or_else(|| LookError::fault(DownCause::Protocol, format!("{address} answers with no valid SCRAM")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 section 3.
    #[test]
    fn the_example_of_the_specification_works() {
        let client = Client::new("user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(client.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = client.prove(first, "pencil").unwrap();
        assert_eq!(
            proof.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proof.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(proof.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), Err(Failure::Malformed));
        assert_eq!(proof.verify("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(Failure::Impostor));
    }

    #[test]
    fn servers_that_cheat_are_found_out() {
        let client = Client::new("a=b,c", "mine".into());
        assert_eq!(client.first(), "n,,n=a=3Db=2Cc,r=mine");
        for bad in [
            "",
            "r=mine,s=AAAA,i=4096",
            "r=other,s=AAAA,i=4096",
            "r=mineandyours,s=AAAA,i=1",
            "r=mineandyours,s=AAAA,i=4294967295",
            "r=mineandyours,s=?,i=4096",
            "m=ext,r=mineandyours,s=AAAA,i=4096",
        ] {
            assert_eq!(client.prove(bad, "p").err(), Some(Failure::Malformed), "{bad}");
        }
    }
}
