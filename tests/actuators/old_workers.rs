//! Workers of before a reload keep their sessions: a decision reaches them over the master's socket.

use rtmp_hmonitor::model::action::{ActionKind, ControlSocket};

use crate::balancer::{Balancer, Mode, Slaves, is_cut};
use crate::decided::{Acting, SOON};
use crate::haproxy::{push, switched, world};
use crate::harness::eventually;

#[test]
fn sessions_in_a_worker_of_before_a_reload_are_cut_and_others_stay() {
    let slaves = Slaves::new();
    let balancer = Balancer::start_as(&slaves.lines(), Mode::MasterWorker);
    let master = ControlSocket::Unix(balancer.master());
    let acting = Acting::start(push(&[&balancer], |push| push.master = Some(master.clone())), &world());
    balancer.wait_agents(true, false);
    let mut session = balancer.connect();
    eventually("a session on s1", SOON, || (balancer.column("s1", "scur")? == "1").then_some(()));
    let reload = || {
        let old = |answer: Option<String>| {
            let workers = answer.as_deref().and_then(|answer| answer.split("# old workers").nth(1));
            workers.map_or(0, |workers| workers.matches(" worker ").count())
        };
        // The master starts itself anew while it starts and reloads; its socket refuses meanwhile.
        let answers = || balancer.ask_master("show proc").filter(|answer| answer.contains("worker"));
        eventually("the master answers", SOON, answers);
        let before = old(balancer.ask_master("show proc"));
        balancer.ask_master("reload");
        eventually("an old worker", SOON, || (old(balancer.ask_master("show proc")) > before).then_some(()));
        balancer.wait_agents(true, false);
    };
    reload();
    eventually("the new worker knows nothing of it", SOON, || (balancer.column("s1", "scur")? == "0").then_some(()));
    assert!(!is_cut(&mut session), "a reload keeps sessions");
    acting.decide(&switched("slave-2"));
    eventually("the session in the old worker is cut", SOON, || is_cut(&mut session).then_some(()));
    balancer.wait_agents(false, true);
    let mut kept = balancer.connect();
    eventually("a session on s2", SOON, || (balancer.column("s2", "scur")? == "1").then_some(()));
    eventually("nothing is left to do", SOON, || (acting.pending(ActionKind::Haproxy) == 0).then_some(()));
    assert!(!is_cut(&mut kept));
}
