//! The layout of the image, before it is started.

use super::container::{Container, DATA, HEALTH_CHECK, SCRIPTS, docker, starts_as_root};
use super::needs::needs_image;

#[test(layout_1)]
fn image_configuration_is_as_documented() {
    let name = needs_image();
    let field = |format: &str| docker(["image", "inspect", "--format", format, name]).ok();
    assert_eq!(field("{{json .Config.Entrypoint}}"), r#"["/entrypoint.sh"]"#);
    assert_eq!(field("{{json .Config.Cmd}}"), r#"["postgres"]"#);
    let user = if starts_as_root() { "root" } else { "postgres" };
    assert_eq!(field("{{.Config.User}}"), user);
    assert_eq!(field("{{.Config.StopSignal}}"), "SIGTERM");
    assert_eq!(field("{{json .Config.ExposedPorts}}"), r#"{"5432/tcp":{}}"#);
    assert_eq!(field("{{json .Config.Volumes}}"), format!(r#"{{"{DATA}":{{}}}}"#));
    let health = field(
        "{{with .Config.Healthcheck}}{{index .Test 1}} {{index .Test 2}} {{.Interval}} {{.Timeout}} {{.StartPeriod}} {{.Retries}}{{end}}",
    );
    assert_eq!(health, format!("{HEALTH_CHECK} --wait 30s 24h0m0s 24h0m0s 2"));
    assert_eq!(
        field("{{index .Config.Healthcheck.Test 0}}"),
        "CMD",
        "no shell between the engine and the check"
    );
}

#[test(layout_2)]
fn files_have_the_documented_owners() {
    needs_image();
    let script = format!(
        "stat -L -c '%n %U:%G %a' {DATA}; stat -c '%U:%G' /opt/container/entrypoint.d {HEALTH_CHECK}; id -u; id -g; \
         for d in /etc/postgresql /var/log/postgresql /var/run/postgresql; do [[ -w $d ]] || echo \"$d is not writable\"; done; \
         [[ -x {HEALTH_CHECK} && -x /entrypoint.sh && -d {SCRIPTS} ]] && echo there"
    );
    let ran = Container::to_the_end(&["--user=postgres"], &["bash", "-c", &script]);
    assert_eq!(
        ran.out,
        format!("{DATA} postgres:postgres 700\npostgres:postgres\npostgres:postgres\n999\n999\nthere\n"),
        "{ran:?}"
    );
}
