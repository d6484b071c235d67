//! `member add | remove | update | promote | list`.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use clap::Subcommand;

use super::connect::{self, Connection};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::Flags;
use super::{Answer, print};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Adds a member into the cluster
    Add {
        #[arg(value_name = "MEMBER_NAME")]
        words: Vec<String>,
        /// Comma separated peer URLs for the new member
        #[arg(long, default_value = "", hide_default_value = true)]
        peer_urls: String,
        /// Indicates if the new member is raft learner
        #[arg(long)]
        learner: bool,
    },
    /// Removes a member from the cluster
    Remove {
        #[arg(value_name = "MEMBER_ID")]
        words: Vec<String>,
    },
    /// Updates a member in the cluster
    Update {
        #[arg(value_name = "MEMBER_ID")]
        words: Vec<String>,
        /// Comma separated peer URLs for the updated member
        #[arg(long, default_value = "", hide_default_value = true)]
        peer_urls: String,
    },
    /// Promotes a non-voting member in the cluster
    Promote {
        #[arg(value_name = "MEMBER_ID")]
        words: Vec<String>,
    },
    /// Lists all members in the cluster
    List {
        /// Linearizable(l) or Serializable(s)
        #[arg(long, default_value = "l")]
        consistency: String,
    },
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add { words, peer_urls, learner } => add(flags, &words, &peer_urls, learner).await,
        Verb::Remove { words } => remove(flags, id(&words)?).await,
        Verb::Update { words, peer_urls } => {
            let id = id(&words)?;
            update(flags, id, urls(&peer_urls)?).await
        }
        Verb::Promote { words } => promote(flags, id(&words)?).await,
        Verb::List { consistency } => {
            let linearizable = match consistency.as_str() {
                "l" => true,
                "s" => false,
                other => {
                    return Err(Failure::new(BAD_FEATURE, format!("unknown consistency flag {other:?}")));
                }
            };
            print(flags, &Answer::MemberList(list(flags, linearizable).await?))
        }
    }
}

/// Who is in the cluster.
pub async fn list(flags: &Flags, linearizable: bool) -> Result<pb::MemberListResponse, Failure> {
    let mut client = client(flags).await?;
    connect::ask(flags, client.member_list(pb::MemberListRequest { linearizable })).await
}

async fn client(flags: &Flags) -> Result<ClusterClient<Connection>, Failure> {
    Ok(ClusterClient::new(connect::any(flags).await?))
}

fn id(words: &[String]) -> Result<u64, Failure> {
    let [word] = words else { return Err(Failure::bad_args("member ID is not provided")) };
    u64::from_str_radix(word, 16).map_err(|_| {
        let cause = format!("strconv.ParseUint: parsing {word:?}: invalid syntax");
        Failure::bad_args(format!("bad member ID arg ({cause}), expecting ID in Hex"))
    })
}

fn urls(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Err(Failure::bad_args("member peer urls not provided"));
    }
    let urls: Vec<String> = text.split(',').map(str::to_owned).collect();
    for url in &urls {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("http" | "https" | "unix" | "unixs")) {
            return Err(Failure::error(format!("URL scheme must be http, https, unix, or unixs: {url}")));
        }
    }
    Ok(urls)
}

async fn add(flags: &Flags, words: &[String], peer_urls: &str, learner: bool) -> Result<(), Failure> {
    let name = match words {
        [] => return Err(Failure::bad_args("member name not provided")),
        [name] => name.clone(),
        _ => return Err(Failure::bad_args("too many arguments")),
    };
    let request = pb::MemberAddRequest { peer_ur_ls: urls(peer_urls)?, is_learner: learner };
    let mut client = client(flags).await?;
    let mut response = connect::ask(flags, client.member_add(request)).await?;
    if let Some(members) = settled(flags, &mut client, &response).await? {
        response.members = members;
    }
    print(flags, &Answer::MemberAdd { name, response })
}

/// The members as who answered sees them once it has applied the addition: the printed cluster must have the new one in it.
async fn settled(
    flags: &Flags,
    client: &mut ClusterClient<Connection>,
    added: &pb::MemberAddResponse,
) -> Result<Option<Vec<pb::Member>>, Failure> {
    let new = added.member.as_ref().map_or(0, |member| member.id);
    if added.members.iter().any(|member| member.id == new) {
        return Ok(None);
    }
    let request = pb::MemberListRequest { linearizable: true };
    Ok(Some(connect::ask(flags, client.member_list(request)).await?.members))
}

async fn remove(flags: &Flags, id: u64) -> Result<(), Failure> {
    let request = pb::MemberRemoveRequest { id };
    let answer = connect::ask(flags, client(flags).await?.member_remove(request)).await?;
    changed(flags, id, "removed", pb::MemberListResponse { header: answer.header, members: answer.members })
}

async fn update(flags: &Flags, id: u64, peer_ur_ls: Vec<String>) -> Result<(), Failure> {
    let request = pb::MemberUpdateRequest { id, peer_ur_ls };
    let answer = connect::ask(flags, client(flags).await?.member_update(request)).await?;
    changed(flags, id, "updated", pb::MemberListResponse { header: answer.header, members: answer.members })
}

async fn promote(flags: &Flags, id: u64) -> Result<(), Failure> {
    let request = pb::MemberPromoteRequest { id };
    let answer = connect::ask(flags, client(flags).await?.member_promote(request)).await?;
    changed(flags, id, "promoted", pb::MemberListResponse { header: answer.header, members: answer.members })
}

fn changed(
    flags: &Flags,
    id: u64,
    done: &'static str,
    response: pb::MemberListResponse,
) -> Result<(), Failure> {
    print(flags, &Answer::MemberChange { id, done, response })
}
