#!/usr/bin/env python3
"""Writes the Grafana dashboards beside this file: python3 dashboards/generate.py (standard library only).

The JSON files are kept in the repository, so that Grafana's provisioning needs no Python and changes can be read in a diff; a test
sees that they are what this script writes.
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RED, ORANGE, GREEN, BLUE, GREY = "red", "orange", "green", "blue", "#6e7077"
# Of stream_health and its siblings, as numbers: state timelines want one series per thing.
STATES = [("up", GREEN), ("degraded", ORANGE), ("down", RED), ("idle", BLUE), ("unknown", GREY)]


# What several monitors say of one thing is told once: the first of these.
WORST_FIRST = ["down", "degraded", "unknown", "up", "idle"]


def told_apart(cls, *labels):
    """By what things are told apart, however many monitors watch them. Names are unique at a site."""
    return f"by ({', '.join(('site', 'machine', cls, *labels))})"


def state_of(cls, where):
    """One series per thing whose value tells its state: 0 up, 1 degraded and so on, as in STATES."""
    numbers = {state: number for number, (state, _) in enumerate(STATES)}
    return " or ".join(f'max {told_apart(cls)} (hmonitor_{cls}_health{{{where},state="{state}"}} == 1) * {numbers[state]}' for state in WORST_FIRST)


STATE_MAPPING = [
    {
        "type": "value",
        "options": {str(n): {"text": state, "color": color, "index": n} for n, (state, color) in enumerate(STATES)},
    }
]
YES_NO = [
    {"type": "value", "options": {"0": {"text": "no", "color": GREY, "index": 0}, "1": {"text": "yes", "color": GREEN, "index": 1}}}
]


def query(expr, legend="", instant=False, name="A"):
    one = {"refId": name, "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto"}
    one.update({"instant": True, "range": False, "format": "table"} if instant == "table" else {"instant": instant, "range": not instant})
    return one


def queries(found, instant=False):
    found = [(found, "")] if isinstance(found, str) else found
    return [query(expr, legend, instant, chr(ord("A") + n)) for n, (expr, legend) in enumerate(found)]


def steps(*pairs):
    """Thresholds: steps(("green", None), ("red", 1))."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in pairs]}


def panel(kind, title, targets, unit="short", thresholds=None, description="", mappings=None, options=None, custom=None, links=None, **defaults):
    field = {"unit": unit, "thresholds": thresholds or steps((GREEN, None)), "mappings": mappings or [], "custom": custom or {}}
    field.update(defaults)
    if links:
        field["links"] = links
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options or {},
    }


def stat(title, expr, unit="short", thresholds=None, mappings=None, text="value", legend="", **more):
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "textMode": text,
        "justifyMode": "center",
        "orientation": "auto",
    }
    found = [(expr, legend)] if isinstance(expr, str) else expr
    return panel("stat", title, queries(found, instant=True), unit, thresholds, mappings=mappings, options=options, **more)


def graph(title, found, unit="short", thresholds=None, stack=False, lines=True, **more):
    custom = {
        "drawStyle": "line" if lines else "bars",
        "lineWidth": 1,
        "fillOpacity": 20 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "min", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, queries(found), unit, thresholds, custom=custom, options=options, **more)


def timeline(title, found, mappings, **more):
    custom = {"lineWidth": 0, "fillOpacity": 80}
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, queries(found), custom=custom, options=options, mappings=mappings, **more)


def table(title, expr, rename=None, hide=(), links=None, unit="short", mappings=None, **more):
    found = panel("table", title, [query(expr, instant="table")], unit, mappings=mappings, options={"showHeader": True, "cellHeight": "sm"}, **more)
    hidden = {name: True for name in ("Time", "__name__", "instance", "job", *hide)}
    found["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": rename or {}}}]
    for name, url in (links or {}).items():
        found["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "links", "value": [{"title": "Show", "url": url}]}]}
        )
    return found


def alerts(labels=""):
    """What fires; `labels` is a matcher of alerts' labels."""
    return {
        "type": "alertlist",
        "title": "Alerts",
        "description": "What Prometheus has firing or pending.",
        "datasource": SOURCE,
        "targets": [],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {
            "viewMode": "list",
            "groupMode": "default",
            "groupBy": [],
            "maxItems": 20,
            "sortOrder": 3,
            "dashboardAlerts": False,
            "alertName": "Hmonitor",
            "alertInstanceLabelFilter": labels,
            "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True},
            "datasource": "",
        },
    }


def layout(rows):
    """Places rows of (height, [(width, panel), …]), each with a title or None, on Grafana's 24 columns."""
    placed, y = [], 0
    for title, height, panels in rows:
        if title:
            row = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
            placed.append(row)
            y += 1
        x = 0
        for width, one in panels:
            if x + width > 24:
                x, y = 0, y + height
            placed.append({**one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += height
    return [{**one, "id": number} for number, one in enumerate(placed, 1)]


def variable(name, label, definition, multi=True):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": definition,
        "query": {"query": definition, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "allValue": ".*" if multi else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else {},
        "options": [],
        "hide": 0,
        "regex": "",
        "skipUrlSync": False,
    }


DATA_SOURCE = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "current": {},
    "options": [],
    "skipUrlSync": False,
}
MONITOR = variable("instance", "Monitor", "label_values(hmonitor_build_info, instance)")
SITE = variable("site", "Site", 'label_values(hmonitor_stream_expected{instance=~"$instance"}, site)')
MACHINE = variable("machine", "Machine", 'label_values(hmonitor_stream_expected{instance=~"$instance",site=~"$site"}, machine)')
STREAM = variable(
    "stream", "Stream", 'label_values(hmonitor_stream_expected{instance=~"$instance",site=~"$site",machine=~"$machine"}, stream)', multi=False
)
ENDPOINT = variable("endpoint", "Endpoint", 'label_values(hmonitor_endpoint_health{instance=~"$instance"}, endpoint)')
SERVICE = variable("service", "Service", 'label_values(hmonitor_service_health{instance=~"$instance"}, service)')
PATH = variable("path", "Path", 'label_values(hmonitor_path_fault{instance=~"$instance"}, path)')
FAILOVER = variable("failover", "Failover", 'label_values(hmonitor_failover_epoch{instance=~"$instance"}, failover)')
GROUP = variable("group", "Group", 'label_values(hmonitor_group_health{instance=~"$instance"}, group)')


def annotation(name, expr, color, title, text, value_is_time=False):
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "10s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": "on" if value_is_time else "",
    }


SWITCHES = annotation(
    "Switches",
    'hmonitor_failover_last_switch_timestamp_seconds{instance=~"$instance"} * 1000',
    "purple",
    "{{failover}} switched",
    "",
    value_is_time=True,
)


def outages(where=""):
    expr = f'ALERTS{{alertname=~"Hmonitor(MachineStreamsDown|StreamDown|EndpointDown|ServiceDown|GroupDown)",alertstate="firing",instance=~"$instance"{where}}}'
    return annotation("Outages", expr, RED, "{{alertname}}", "{{machine}} {{stream}} {{endpoint}} {{service}} {{group}}")


def dashboard(uid, title, description, variables, rows, annotations, refresh="5s", span="now-1h"):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["rtmp-hmonitor"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": refresh,
        "time": {"from": span, "to": "now"},
        "timezone": "browser",
        "timepicker": {},
        "links": [
            {
                "type": "dashboards",
                "title": "rtmp-hmonitor",
                "tags": ["rtmp-hmonitor"],
                "asDropdown": True,
                "includeVars": False,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": [DATA_SOURCE, MONITOR, *variables]},
        "annotations": {"list": annotations},
        "panels": layout(rows),
    }


TO_STREAM = "/d/hmonitor-stream?var-stream=${__data.fields.stream}&${__url_time_range}"
OVER = 'instance=~"$instance",site=~"$site",machine=~"$machine"'
AVAILABILITY = steps((RED, None), (ORANGE, 0.99), (GREEN, 0.999))
NONE_IS_GOOD = steps((GREEN, None), (RED, 1))
NOT_ONE = "none in this time range"
# A stream has at most 60 series: causes, content and breakdowns come first.
LEFT_OUT = "left out, as this stream has much else to tell"


def at_most(warning, bad):
    """Thresholds of what should be small."""
    return steps((GREEN, None), (ORANGE, warning), (RED, bad))


def within(bad):
    """Thresholds of what should be about zero."""
    return steps((RED, None), (GREEN, -bad), (RED, bad))



def overview():
    def count(number, state, color):
        thresholds = steps((GREEN if state == "up" else GREY, None), (color, 1))
        return stat(state.capitalize(), f"count(({state_of('stream', OVER)}) == {number}) or vector(0)", thresholds=thresholds)

    rows = [
        (None, 4, [(3, count(number, *state)) for number, state in enumerate(STATES)]
            + [(5, stat("Availability, 30 days", f"avg(stream:hmonitor_available:ratio_rate30d{{{OVER}}})", "percentunit", AVAILABILITY, decimals=3)),
               (4, stat("All cameras together", f"8 * sum(max {told_apart('stream', 'media')} (hmonitor_stream_media_bytes_per_second{{{OVER}}}))", "bps"))]),
        (None, 9, [
            (10, alerts('{site=~"$site"}')),
            (14, table("Streams that are not well",
                f'sum by (site, machine, stream, cause) (hmonitor_stream_issue{{{OVER}}} == 1)',
                rename={"Value": "applies"}, hide=("Value",), links={"stream": TO_STREAM}, noValue="all are well",
                description="Each cause that applies now, by stream.")),
        ]),
        (None, 12, [(24, timeline("Streams", [(state_of("stream", OVER), "{{stream}}")], STATE_MAPPING,
            links=[{"title": "Show", "url": "/d/hmonitor-stream?var-stream=${__field.labels.stream}&${__url_time_range}"}]))]),
        ("Rates", 8, [
            (12, graph("Received, by machine", [(f"8 * sum by (site, machine) (max {told_apart('stream', 'media')} (hmonitor_stream_media_bytes_per_second{{{OVER}}}))", "{{site}} {{machine}}")], "bps", stack=True)),
            (12, graph("Streams up, by machine", [(f"sum by (site, machine) (min {told_apart('stream')} (hmonitor_stream_up{{{OVER}}}))", "{{site}} {{machine}}")], lines=True, decimals=0)),
        ]),
        ("Availability", 8, [
            (8, graph("Share of time down, by site (last hour)", [('site:hmonitor_unavailable:ratio_rate1h{instance=~"$instance",site=~"$site"}', "{{site}}")], "percentunit", at_most(0.001, 0.01), min=0)),
            (8, graph("Burn rate of the objective, by site",
                [('site:hmonitor_unavailable:ratio_rate1h{instance=~"$instance",site=~"$site"} / on () group_left () (1 - hmonitor:objective:ratio)', "{{site}} 1 h"),
                 ('site:hmonitor_unavailable:ratio_rate6h{instance=~"$instance",site=~"$site"} / on () group_left () (1 - hmonitor:objective:ratio)', "{{site}} 6 h")],
                thresholds=steps((GREEN, None), (ORANGE, 6), (RED, 14.4)), description="1 spends a month's budget in a month.")),
            (8, table("Longest down in this time range",
                f"topk(10, max {told_apart('stream')} (increase(hmonitor_stream_outage_seconds_total{{{OVER}}}[$__range])))", rename={"Value": "down"}, unit="s", links={"stream": TO_STREAM})),
        ]),
    ]
    return dashboard("hmonitor-overview", "RTMP: site overview", "All streams of a site: who is well, who is not, and for how long.",
        [SITE, MACHINE], rows, [SWITCHES, outages(',site=~"$site|"')])


def stream():
    of = 'instance=~"$instance",stream="$stream"'
    rows = [
        (None, 4, [
            (4, stat("State", state_of("stream", of), mappings=STATE_MAPPING)),
            (6, stat("Because of", f"hmonitor_stream_issue{{{of}}} == 1", text="name", legend="{{cause}}", thresholds=steps((ORANGE, None)), noValue="nothing")),
            (4, stat("For", f"time() - hmonitor_stream_last_change_timestamp_seconds{{{of}}}", "s", steps((BLUE, None)))),
            (4, stat("Outages in this time range", f"increase(hmonitor_stream_outages_total{{{of}}}[$__range])", thresholds=NONE_IS_GOOD, decimals=0)),
            (3, stat("Available, 30 days", f"stream:hmonitor_available:ratio_rate30d{{{of}}}", "percentunit", AVAILABILITY, decimals=3)),
            (3, stat("Session age", f"time() - hmonitor_stream_session_start_timestamp_seconds{{{of}}}", "s", steps((BLUE, None)))),
        ]),
        (None, 5, [
            (12, timeline("State", [(state_of("stream", of), "{{stream}}")], STATE_MAPPING)),
            (12, timeline("Causes", [(f"hmonitor_stream_issue{{{of}}}", "{{cause}}")],
                [{"type": "value", "options": {"0": {"text": "no", "color": "transparent", "index": 0}, "1": {"text": "applies", "color": ORANGE, "index": 1}}}])),
        ]),
        ("Media", 8, [
            (8, graph("Bit rate", [(f"8 * hmonitor_stream_media_bytes_per_second{{{of}}}", "{{media}}"), (f"8 * hmonitor_stream_declared_bytes_per_second{{{of}}}", "{{media}} declared")], "bps")),
            (8, graph("Pictures a second", [(f"hmonitor_stream_frames_per_second{{{of}}}", "measured"), (f"hmonitor_stream_declared_frames_per_second{{{of}}}", "declared")], "fps", steps((RED, None), (ORANGE, 10), (GREEN, 20)), min=0)),
            (8, graph("Keyframe interval", [(f"hmonitor_stream_keyframe_interval_seconds{{{of}}}", "interval")], "s", at_most(4, 10), min=0)),
            (8, graph("Longest gap between frames", [(f"hmonitor_stream_frame_gap_max_seconds{{{of}}}", "{{media}}")], "s", at_most(1, 2), min=0,
                description="A stream is stalled after 2 s without media, unless configured otherwise.")),
            (8, graph("Jitter and A/V skew", [(f"hmonitor_stream_jitter_seconds{{{of}}}", "jitter"), (f"hmonitor_stream_av_skew_seconds{{{of}}}", "audio minus video")], "s", within(0.5))),
            (8, graph("Drift against our clock", [(f"hmonitor_stream_drift_seconds{{{of}}}", "drift")], "s", within(2))),
            (8, graph("Against what is usual for it", [(f"hmonitor_stream_anomaly_ratio{{{of}}}", "{{signal}}")], thresholds=steps((ORANGE, None), (GREEN, -1), (ORANGE, 1)),
                description="Where each figure lies in the band that this stream has shown at this time of day: beyond -1 and 1 it is unusual. Nothing until a week is known.", noValue="not yet known for a week")),
            (8, alerts('{stream="$stream"}')),
            (8, graph("Outages and stalls",
                [(f"increase(hmonitor_stream_outages_total{{{of}}}[$__rate_interval])", "outages"), (f"increase(hmonitor_stream_stalls_total{{{of}}}[$__rate_interval])", "stalls")],
                thresholds=NONE_IS_GOOD, lines=False, decimals=0)),
        ]),
        ("Picture and sound", 7, [
            (6, table("Format", f"hmonitor_stream_video_info{{{of}}} or hmonitor_stream_audio_info{{{of}}}", hide=("Value", "site", "machine", "stream"))),
            (3, stat("Size", [(f"hmonitor_stream_video_width_pixels{{{of}}}", "wide"), (f"hmonitor_stream_video_height_pixels{{{of}}}", "high")], "none",
                steps((BLUE, None)), text="value_and_name")),
            (5, graph("Brightness", [(f"hmonitor_stream_luma_mean_ratio{{{of}}}", "mean luma")], "percentunit", steps((RED, None), (GREEN, 0.03)), min=0, max=1)),
            (5, graph("Frozen for", [(f"hmonitor_stream_frozen_seconds{{{of}}}", "frozen")], "s", at_most(5, 10), min=0)),
            (5, graph("Loudness", [(f"hmonitor_stream_audio_loudness_dbfs{{{of}}}", "loudness")], "dB", steps((RED, None), (GREEN, -70)), max=0)),
        ]),
        ("Connection", 8, [
            (8, graph("Phases of the newest attempt", [(f"hmonitor_stream_connect_duration_seconds{{{of}}}", "{{phase}}")], "s", at_most(3, 8), stack=True)),
            (8, graph("Ends and failures by cause",
                [(f"increase(hmonitor_stream_session_failures_total{{{of}}}[$__rate_interval])", "all"), (f"increase(hmonitor_stream_disconnects_total{{{of}}}[$__rate_interval])", "ended: {{cause}}"), (f"increase(hmonitor_stream_connect_failures_total{{{of}}}[$__rate_interval])", "failed: {{cause}}")],
                thresholds=NONE_IS_GOOD, lines=False)),
            (8, graph("TCP round trip", [(f"hmonitor_stream_tcp_rtt_seconds{{{of}}}", "round trip")], "s", at_most(0.1, 0.3), min=0, noValue=LEFT_OUT)),
            (8, graph("Errors in the media", [(f"increase(hmonitor_stream_media_errors_total{{{of}}}[$__rate_interval])", "all"), (f"increase(hmonitor_stream_timestamp_anomalies_total{{{of}}}[$__rate_interval])", "{{media}} {{kind}}"), (f"increase(hmonitor_stream_parse_errors_total{{{of}}}[$__rate_interval])", "parse: {{kind}}")],
                thresholds=NONE_IS_GOOD, lines=False)),
            (8, graph("Out of order and sent again",
                [(f"rate(hmonitor_stream_tcp_out_of_order_total{{{of}}}[$__rate_interval])", "out of order"), (f"rate(hmonitor_stream_tcp_retransmits_total{{{of}}}[$__rate_interval])", "sent again")], "pps", at_most(1, 10), min=0, noValue=LEFT_OUT)),
            (8, graph("As its server sees it",
                [(f"8 * rate(hmonitor_stream_server_bytes_total{{{of}}}[$__rate_interval])", "from the publisher")], "bps", min=0, description="Where the media server's statistics are watched.")),
        ]),
    ]
    return dashboard("hmonitor-stream", "RTMP: stream", "One stream in full.", [SITE, MACHINE, STREAM], rows, [SWITCHES, outages(',stream="$stream"')])


def network():
    ep = 'instance=~"$instance",endpoint=~"$endpoint"'
    sv = 'instance=~"$instance",service=~"$service"'
    pa = 'instance=~"$instance",path=~"$path"'
    rows = [
        (None, 8, [
            (14, timeline("Endpoints", [(state_of("endpoint", ep), "{{endpoint}}")], STATE_MAPPING)),
            (10, table("First failing hop of each path", f"sum by (path, hop) (hmonitor_path_fault{{{pa}}} == 1)", hide=("Value",), noValue="no path fails")),
        ]),
        ("Network", 8, [
            (8, graph("Round trip (mean of the window)", [(f"hmonitor_ping_rtt_mean_seconds{{{ep}}}", "{{endpoint}}")], "s", at_most(0.05, 0.2), min=0)),
            (8, graph("Round trip, 99th percentile", [(f"histogram_quantile(0.99, sum by (endpoint, le) (rate(hmonitor_ping_rtt_seconds_bucket{{{ep}}}[1m])))", "{{endpoint}}")], "s", at_most(0.1, 0.3), min=0)),
            (8, graph("Loss", [(f"hmonitor_ping_loss_ratio{{{ep}}}", "{{endpoint}}")], "percentunit", steps((GREEN, None), (ORANGE, 0.01), (RED, 0.05)), min=0)),
            (8, graph("Ping jitter", [(f"hmonitor_ping_jitter_seconds{{{ep}}}", "{{endpoint}}")], "s", at_most(0.01, 0.05), min=0)),
            (8, graph("Duration of a whole look", [(f"hmonitor_endpoint_check_duration_seconds{{{ep}}}", "{{endpoint}}")], "s", at_most(0.5, 2), min=0)),
            (8, graph("Failed looks by cause", [(f"increase(hmonitor_endpoint_failures_total{{{ep}}}[$__rate_interval])", "{{endpoint}} {{cause}}")],
                thresholds=NONE_IS_GOOD, lines=False, stack=True, noValue=NOT_ONE)),
            (8, graph("Links: delivered over expected", [(f"hmonitor_link_receive_ratio{{{pa}}}", "{{path}}")], "percentunit", steps((RED, None), (ORANGE, 0.9), (GREEN, 1)), min=0)),
            (8, graph("Measured downloads", [(f"8 * hmonitor_download_bytes_per_second{{{ep}}}", "{{endpoint}}")], "bps")),
            (8, table("Certificates expire in", f"sort(hmonitor_endpoint_tls_expiry_timestamp_seconds{{{ep}}} - time() or hmonitor_service_tls_expiry_timestamp_seconds{{{sv}}} - time())",
                rename={"Value": "time left"}, unit="s", thresholds=steps((RED, None), (ORANGE, 7 * 86400), (GREEN, 21 * 86400)))),
        ]),
        ("Replication", 7, [
            (8, graph("Lag", [(f"hmonitor_replication_lag_seconds{{{ep}}}", "{{endpoint}}")], "s", at_most(5, 10), min=0)),
            (8, graph("Lag in bytes", [(f"hmonitor_replication_lag_bytes{{{ep}}}", "{{endpoint}}")], "bytes", at_most(1 << 20, 16 << 20), min=0)),
            (8, timeline("Role", [(f'hmonitor_replication_role{{{ep},role="primary"}}', "{{endpoint}} is primary")], YES_NO)),
        ]),
        ("Services", 8, [
            (12, timeline("Services", [(state_of("service", sv), "{{service}}")], STATE_MAPPING)),
            (12, graph("Failed looks by cause", [(f"increase(hmonitor_service_errors_total{{{sv}}}[$__rate_interval])", "{{service}} {{cause}}")],
                thresholds=NONE_IS_GOOD, lines=False, stack=True, noValue=NOT_ONE)),
        ]),
        ("Web Presenter and Vimeo", 8, [
            (6, graph("Web Presenter: rate", [(f"8 * hmonitor_web_presenter_bytes_per_second{{{sv}}}", "{{service}}"), (f"8 * hmonitor_web_presenter_target_bytes_per_second{{{sv}}}", "{{service}} target")], "bps")),
            (6, graph("Web Presenter: send buffer", [(f"hmonitor_web_presenter_cache_ratio{{{sv}}}", "{{service}}")], "percentunit", steps((GREEN, None), (ORANGE, 0.3), (RED, 0.5)), min=0, max=1)),
            (6, timeline("States they tell", [(f"hmonitor_web_presenter_state{{{sv}}} == 1", "{{service}} {{state}}"), (f"hmonitor_vimeo_state{{{sv}}} == 1", "{{service}} {{state}}")], YES_NO)),
            (6, graph("Vimeo: viewers", [(f"hmonitor_vimeo_viewers{{{sv}}}", "{{service}}")])),
        ]),
        ("Media servers and load balancers", 8, [
            (8, graph("Media servers: rate", [(f"8 * rate(hmonitor_rtmp_server_bytes_total{{{sv}}}[$__rate_interval])", "{{service}} {{direction}}")], "bps")),
            (8, graph("Media servers: publications and clients", [(f"hmonitor_rtmp_server_streams{{{sv}}}", "{{service}} streams"), (f"hmonitor_rtmp_server_clients{{{sv}}}", "{{service}} clients")])),
            (8, timeline("HAProxy: servers", [(f"hmonitor_haproxy_server_up{{{sv}}}", "{{proxy}}/{{server}}")],
                [{"type": "value", "options": {"0": {"text": "down", "color": RED, "index": 0}, "1": {"text": "up", "color": GREEN, "index": 1}}}])),
            (8, graph("HAProxy: sessions", [(f"hmonitor_haproxy_sessions{{{sv}}}", "{{proxy}}")])),
            (8, graph("HAProxy: failed checks", [(f"increase(hmonitor_haproxy_server_check_failures_total{{{sv}}}[$__rate_interval])", "{{proxy}}/{{server}}")],
                thresholds=NONE_IS_GOOD, lines=False, stack=True)),
            (8, alerts()),
        ]),
    ]
    return dashboard("hmonitor-network", "RTMP: network and services", "What lies around the streams: hosts, links, databases, devices, platforms, load balancers.",
        [ENDPOINT, SERVICE, PATH], rows, [SWITCHES, outages()])


def ha():
    fo = 'instance=~"$instance",failover=~"$failover"'
    gr = 'instance=~"$instance",group=~"$group"'
    here = 'instance=~"$instance"'
    rows = [
        (None, 4, [
            (6, stat("Active", f"hmonitor_failover_active{{{fo}}} == 1", text="name", legend="{{failover}}: {{candidate}}", thresholds=steps((GREEN, None)))),
            (3, stat("Epoch", f"hmonitor_failover_epoch{{{fo}}}", thresholds=steps((BLUE, None)))),
            (3, stat("Last switch", f"time() - hmonitor_failover_last_switch_timestamp_seconds{{{fo}}}", "s", steps((ORANGE, None), (GREEN, 3600)))),
            (3, stat("Isolated", f"max(hmonitor_isolated{{{here}}})", thresholds=NONE_IS_GOOD, mappings=[{"type": "value", "options": {"0": {"text": "no", "index": 0}, "1": {"text": "yes", "index": 1}}}])),
            (3, stat("Ghost publishers", f"sum(max {told_apart('service')} (hmonitor_ghost_publishers{{{here}}}))", thresholds=NONE_IS_GOOD)),
            (3, stat("Controllers disagree for", f"max(hmonitor_controller_disagreement_seconds{{{here}}})", "s", steps((GREEN, None), (ORANGE, 2), (RED, 10)))),
            (3, stat("Actions that wait", f"sum(hmonitor_actions_pending{{{here}}})", thresholds=NONE_IS_GOOD)),
        ]),
        (None, 8, [
            (12, timeline("What we said: the active candidate", [(f"hmonitor_failover_active{{{fo}}}", "{{failover}}: {{candidate}}")], YES_NO)),
            (12, timeline("What HAProxy did: servers that take sessions", [(f"hmonitor_haproxy_server_up{{{here}}}", "{{service}}: {{proxy}}/{{server}}")], YES_NO)),
            (8, graph("HAProxy: sessions, by server", [(f"hmonitor_haproxy_server_sessions{{{here}}}", "{{service}}: {{proxy}}/{{server}}")], stack=True, min=0, decimals=0)),
            (8, graph("HAProxy: weight, by server", [(f"hmonitor_haproxy_server_weight{{{here}}}", "{{service}}: {{proxy}}/{{server}}")], min=0, decimals=0)),
            (8, graph("Controllers that disagree", [(f"hmonitor_controller_disagreement_seconds{{{here}}}", "{{object}}")], "s", at_most(2, 10), min=0,
                description="How long a load balancer that asks has not done what it was told.")),
            (8, graph("HAProxy: new sessions", [(f"rate(hmonitor_haproxy_sessions_total{{{here}}}[$__rate_interval])", "{{service}}: {{proxy}}")], "cps", min=0)),
            (8, graph("HAProxy: failed checks", [(f"increase(hmonitor_haproxy_server_check_failures_total{{{here}}}[$__rate_interval])", "{{service}}: {{proxy}}/{{server}}")],
                thresholds=NONE_IS_GOOD, lines=False, stack=True)),
            (8, timeline("HAProxy: backends that have a server", [(f"hmonitor_haproxy_backend_up{{{here}}}", "{{service}}: {{proxy}}")],
                [{"type": "value", "options": {"0": {"text": "none", "color": RED, "index": 0}, "1": {"text": "yes", "color": GREEN, "index": 1}}}])),
        ]),
        ("Groups", 8, [
            (12, timeline("Groups", [(state_of("group", gr), "{{group}}")], STATE_MAPPING)),
            (12, timeline("Fit to serve (eligible)", [(f"hmonitor_group_eligible{{{gr}}}", "{{group}}")],
                [{"type": "value", "options": {"0": {"text": "no", "color": RED, "index": 0}, "1": {"text": "yes", "color": GREEN, "index": 1}}}])),
            (8, timeline("Serving", [(f"hmonitor_group_serving{{{gr}}}", "{{group}}")], YES_NO)),
            (8, graph("Share of members that are well", [(f"hmonitor_group_weight_ratio{{{gr}}}", "{{group}}")], "percentunit",
                steps((RED, None), (ORANGE, 0.5), (GREEN, 1)), min=0, max=1)),
            (8, timeline("Maintenance",
                [(f'sum by (group) (1 * hmonitor_group_maintenance{{{gr},state="drain"}} or 2 * hmonitor_group_maintenance{{{gr},state="maint"}})', "{{group}}")],
                [{"type": "value", "options": {"0": {"text": "no", "color": "transparent", "index": 0}, "1": {"text": "drain", "color": BLUE, "index": 1}, "2": {"text": "maint", "color": ORANGE, "index": 2}}}])),
        ]),
        ("Decisions", 8, [
            (8, graph("Switches, by reason", [(f"increase(hmonitor_failover_switches_total{{{fo}}}[$__rate_interval])", "{{failover}} {{reason}}")],
                thresholds=steps((GREEN, None), (ORANGE, 1)), lines=False, stack=True, noValue=NOT_ONE)),
            (8, graph("Switches held back, by reason", [(f"increase(hmonitor_failover_suppressed_total{{{fo}}}[$__rate_interval])", "{{failover}} {{reason}}")],
                thresholds=steps((GREEN, None), (ORANGE, 1)), lines=False, stack=True, noValue=NOT_ONE)),
            (8, graph("From evidence until HAProxy has been told",
                [(f"histogram_quantile({q}, sum by (le) (rate(hmonitor_decision_latency_seconds_bucket{{{here}}}[$__range])))", f"{share} of decisions") for q, share in ((0.5, "half"), (0.99, "99 %"))], "s", at_most(0.5, 1), min=0,
                noValue="HAProxy has been told nothing")),
            (8, timeline("Pinned by an operator", [(f"hmonitor_failover_pinned{{{fo}}}", "{{failover}}")],
                [{"type": "value", "options": {"0": {"text": "no", "color": "transparent", "index": 0}, "1": {"text": "pinned", "color": BLUE, "index": 1}}}])),
            (8, timeline("Switches held back now", 
                [(f"hmonitor_failover_suppressed{{{fo}}} == 1", "{{failover}}: {{reason}}"), (f"sum by (failover) (hmonitor_failover_suppressed{{{fo}}}) == 0", "{{failover}}: none")],
                [{"type": "value", "options": {"0": {"text": "none", "color": "transparent", "index": 0}, "1": {"text": "held back", "color": ORANGE, "index": 1}}}])),
            (8, alerts()),
        ]),
        ("Carried out", 8, [
            (8, graph("Actions, by outcome", [(f"rate(hmonitor_actions_total{{{here}}}[$__rate_interval])", "{{action}} {{outcome}}")], "ops", min=0)),
            (8, graph("Actions that wait", [(f"hmonitor_actions_pending{{{here}}}", "{{action}}")], thresholds=NONE_IS_GOOD, min=0, decimals=0)),
            (8, graph("Health answers a second", [(f"sum by (view, answer) (rate(hmonitor_health_answers_total{{{here}}}[$__rate_interval]))", "{{view}} {{answer}}")], "reqps", min=0)),
        ]),
    ]
    return dashboard("hmonitor-ha", "RTMP: failovers", "Who is active, who could take over, and what was decided and carried out.", [FAILOVER, GROUP], rows, [SWITCHES, outages()])


def monitor():
    here = 'instance=~"$instance"'
    rows = [
        (None, 4, [
            (4, stat("Scraped", 'min(up{job="rtmp-hmonitor",instance=~"$instance"})', thresholds=steps((RED, None), (GREEN, 1)), mappings=[{"type": "value", "options": {"0": {"text": "no", "index": 0}, "1": {"text": "yes", "index": 1}}}])),
            (4, stat("Age of its picture", f"max(hmonitor_snapshot_age_seconds{{{here}}})", "s", steps((GREEN, None), (ORANGE, 1), (RED, 5)))),
            (4, stat("Configuration", f"min(hmonitor_config_last_reload_successful{{{here}}})", thresholds=steps((RED, None), (GREEN, 1)), mappings=[{"type": "value", "options": {"0": {"text": "not loaded", "index": 0}, "1": {"text": "good", "index": 1}}}])),
            (4, stat("Runs for", f"time() - process_start_time_seconds{{job=\"rtmp-hmonitor\",{here}}}", "s", steps((ORANGE, None), (GREEN, 600)))),
            (4, stat("Watched", f"sum(hmonitor_streams_configured{{{here}}}) + sum(hmonitor_endpoints_configured{{{here}}}) + sum(hmonitor_services_configured{{{here}}})", thresholds=steps((BLUE, None)))),
            (4, stat("Version", f"hmonitor_build_info{{{here}}}", text="name", legend="{{version}} {{revision}}", thresholds=steps((BLUE, None)))),
        ]),
        ("Load", 8, [
            (8, graph("Processor", [(f"rate(process_cpu_seconds_total{{job=\"rtmp-hmonitor\",{here}}}[$__rate_interval])", "{{instance}}")], "percentunit", at_most(1.5, 2), min=0, description="1 is one core; the stack's container may use two.")),
            (8, graph("Memory", [(f"process_resident_memory_bytes{{job=\"rtmp-hmonitor\",{here}}}", "{{instance}}")], "bytes", at_most(384 << 20, 480 << 20), min=0,
                description="The stack's container may use 512 MiB, or HMONITOR_MEMORY.")),
            (8, graph("File descriptors in use", [(f"process_open_fds{{job=\"rtmp-hmonitor\",{here}}} / process_max_fds", "{{instance}}")], "percentunit", at_most(0.7, 0.9), min=0,
                description="Of those that the process may open.")),
            (8, graph("Received from origins", [(f"8 * sum by (instance) (rate(hmonitor_stream_received_bytes_total{{{here}}}[$__rate_interval]))", "{{instance}}")], "bps")),
            (8, graph("Threads", [(f"process_threads{{{here}}}", "{{instance}}")])),
            (8, graph("Age of the picture", [(f"hmonitor_snapshot_age_seconds{{{here}}}", "{{instance}}")], "s", steps((GREEN, None), (RED, 5)))),
        ]),
        ("Answers", 8, [
            (8, graph("Requests", [(f"sum by (route, code) (rate(hmonitor_http_requests_total{{{here}}}[$__rate_interval]))", "{{route}} {{code}}")], "reqps", min=0)),
            (8, graph("Health answers", [(f"sum by (answer) (rate(hmonitor_health_answers_total{{{here}}}[$__rate_interval]))", "{{answer}}")], "reqps", min=0, description="Held and assumed ones rest on no fresh evidence.")),
            (8, graph("Refused connections", [(f"increase(hmonitor_connections_refused_total{{{here}}}[$__rate_interval])", "{{listener}}")], thresholds=NONE_IS_GOOD, lines=False, stack=True)),
        ]),
        ("Faults of its own", 8, [
            (6, graph("Probes started again", [(f"sum by (reason) (increase(hmonitor_probe_restarts_total{{{here}}}[$__rate_interval]))", "{{reason}}")], lines=False, stack=True, noValue=NOT_ONE)),
            (6, graph("Panics", [(f"increase(hmonitor_task_panics_total{{{here}}}[$__rate_interval])", "{{instance}}")], thresholds=NONE_IS_GOOD, lines=False)),
            (6, graph("Times it stood still", [(f"increase(hmonitor_observer_pauses_total{{{here}}}[$__rate_interval])", "{{instance}}")], thresholds=NONE_IS_GOOD, lines=False)),
            (6, graph("Discovery sources that fail", [(f"hmonitor_discovery_sources_failing{{{here}}}", "{{instance}}")], thresholds=NONE_IS_GOOD, min=0, decimals=0)),
        ]),
        ("Workers", 8, [
            (12, graph("Looks into pictures and sound", [(f"sum by (outcome) (increase(hmonitor_inspections_total{{{here}}}[$__rate_interval]))", "{{outcome}}")], stack=True, min=0,
                description="By how they ended. All but done and undecodable_configuration have told nothing.", noValue="nothing is looked into")),
            (12, graph("Workers replaced", [(f"sum by (reason) (increase(hmonitor_libav_worker_restarts_total{{{here}}}[$__rate_interval]))", "{{reason}}")], thresholds=NONE_IS_GOOD, lines=False, stack=True, noValue=NOT_ONE)),
        ]),
        ("What fires", 8, [(24, alerts())]),
    ]
    return dashboard("hmonitor-monitor", "RTMP: the monitor itself", "Whether the monitor does its job.", [], rows,
        [SWITCHES, outages(), annotation("Starts", f'process_start_time_seconds{{job="rtmp-hmonitor",{here}}} * 1000', BLUE, "started", "{{instance}}", value_is_time=True)])


def main():
    for made in (overview(), stream(), network(), ha(), monitor()):
        path = HERE / f"{made['uid'].removeprefix('hmonitor-')}.json"
        path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
