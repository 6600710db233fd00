#include "conf_sample.h"
#include <stdio.h>
#include <stdlib.h>
#include "test.h"

static struct conf *parse(const char *text, unsigned flags, struct conf_faults *faults)
{
    conf_faults_init(faults, "f");
    /* An exact heap copy, so that the sanitizer sees one octet too far. */
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, text, n);
    struct conf *conf = conf_parse(&sample_section, span_of(exact, n), flags, faults);
    free(exact);
    return conf;
}

static void defaults(void **state UNUSED)
{
    static const char *const texts[] = { "", "# nothing\n", "---\n", "{}", "part:\n", "part: {}", "part: null",
                                         "part: { idle: ~ }" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct conf_faults faults;
        struct conf *conf = parse(texts[i], 0, &faults);
        assert_string_equal(buf_cstr(&faults.text), "");
        assert_non_null(conf);
        const struct sample *sample = conf_values(conf);
        assert_int_equal(sample->part.processes, 0);
        assert_int_equal(sample->part.max_octets, 25 << 20);
        assert_int_equal(sample->part.idle_ms, 300000);
        assert_int_equal(sample->part.rate.per_ms, 0);
        assert_true(sample->part.hide);
        assert_int_equal(sample->part.networks.n, 2);
        assert_int_equal(sample->part.resolvers.n, 0);
        assert_null(sample->part.secret.p);
        assert_int_equal(sample->routes.n, 0);
        assert_int_equal(sample->common.listen.n, 6);
        assert_string_equal(sample->common.state_dir.p, "/var/lib/goniec");
        assert_false(conf_is_set(conf, &sample->part.idle_ms));
        conf_free(conf);
        conf_faults_done(&faults);
    }
}

static const char whole_yaml[] =
    "hostname: Mail.Example.ORG\n"
    "log: { level: debug }\n"
    "listen:\n"
    "  - { address: \"[::1]:2587\", service: submission, tls: starttls, proxy-from: 192.0.2.0/24 }\n"
    "  - address: 127.0.0.1:2525\n"
    "    service: relay\n"
    "part:\n"
    "  processes: 3\n"
    "  max-size: 1GiB\n"
    "  idle: 90s\n"
    "  rate: 300/1h\n"
    "  hide: no\n"
    "  newline: fix\n"
    "  networks: []\n"
    "  resolvers: [127.0.0.1:53]\n"
    "  names: [anna, \"info\"]\n"
    "routes:\n"
    "  - { domain: \"*\", via: \"smtp://[::1]:25\", weight: -5 }\n";

static const char whole_json[] =
    "{\"hostname\":\"mail.example.org\",\"log\":{\"level\":\"debug\"},\"listen\":[{\"address\":\"[::1]:2587\","
    "\"proxy-from\":[\"192.0.2.0/24\"]},{\"address\":\"127.0.0.1:2525\",\"service\":\"relay\"}],\"part\":{"
    "\"processes\":3,\"max-size\":1073741824,\"idle\":\"1min30s\",\"rate\":\"300/1h\",\"hide\":false,"
    "\"newline\":\"fix\",\"networks\":[],\"resolvers\":[\"127.0.0.1:53\"],\"names\":[\"anna\",\"info\"]},"
    "\"routes\":[{\"domain\":\"*\",\"via\":\"smtp:\\/\\/[::1]:25\",\"weight\":-5}]}";

static void whole(void **state UNUSED)
{
    const char *const texts[] = { whole_yaml, whole_json };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct conf_faults faults;
        struct conf *conf = parse(texts[i], 0, &faults);
        assert_string_equal(buf_cstr(&faults.text), "");
        assert_non_null(conf);
        const struct sample *sample = conf_values(conf);
        assert_string_equal(sample->common.hostname.p, "mail.example.org");
        assert_int_equal(sample->common.log.level, 0);
        assert_int_equal(sample->common.listen.n, 2);
        const struct conf_listen *listen = sample->common.listen.items;
        assert_int_equal(listen[0].address.port, 2587);
        assert_int_equal(listen[0].proxy_from.n, 1);
        assert_int_equal(listen[1].service, CONF_SERVICE_RELAY);
        assert_int_equal(listen[1].tls, CONF_LISTEN_STARTTLS);
        assert_int_equal(sample->part.processes, 3);
        assert_int_equal(sample->part.max_octets, 1 << 30);
        assert_int_equal(sample->part.idle_ms, 90000);
        assert_int_equal(sample->part.rate.count, 300);
        assert_false(sample->part.hide);
        assert_int_equal(sample->part.newline, 1);
        assert_int_equal(sample->part.networks.n, 0);
        assert_int_equal(sample->part.resolvers.items[0].port, 53);
        assert_string_equal(sample->part.names.items[1].p, "info");
        const struct sample_route *route = sample->routes.items;
        assert_string_equal(route->via.p, "smtp://[::1]:25");
        assert_int_equal(route->weight, -5);
        assert_true(conf_is_set(conf, &route->weight));
        conf_free(conf);
        conf_faults_done(&faults);
    }
}

static void mistakes(void **state UNUSED)
{
    static const struct {
        const char *text, *fault;
    } rows[] = {
        { "hostnam: x", "f:1:1: unknown setting \"hostnam\"; did you mean hostname?\n" },
        { "max-size: 1MiB", "f:1:1: unknown setting \"max-size\"; did you mean it inside part?\n" },
        { "part:\n  ilde: 5s\n", "f:2:3: part: unknown setting \"ilde\"; did you mean idle?\n" },
        { "log: { zzzzzz: 1 }", "f:1:8: log: unknown setting \"zzzzzz\"; allowed here are file, level\n" },
        { "part: { idle: 5 }",
          "f:1:15: part.idle: \"5\": a time is written like 5min or 1h30min (units: ms, s, min, h, d, w)\n" },
        { "part: { idle: 2h }", "f:1:15: part.idle: \"2h\": allowed is 1s to 1h\n" },
        { "part: { processes: 0 }", "f:1:20: part.processes: \"0\": allowed is 1 to 64, or auto\n" },
        { "part: { newline: fux }", "f:1:18: part.newline: \"fux\": allowed is refuse or fix; did you mean fix?\n" },
        { "part: { hide: maybe }", "f:1:15: part.hide: \"maybe\": allowed is yes or no\n" },
        { "part: { hide: no, idle: 1h }", "f:1:7: part: idle over 10min needs hide\n" },
        { "part: { idle: 1s, idle: 2s }", "f:1:19: part.idle: is set a second time\n" },
        { "part: { secret: \"a\\tb\" }",
          "f:1:17: part.secret: the value: control characters and line ends are not allowed\n" },
        { "part: { idle: [1s] }", "f:1:15: part.idle: one value is needed here (time)\n" },
        { "part: { idle: }", "f:1:9: part.idle: a value is missing (time)\n" },
        { "part: [ a ]", "f:1:7: part: settings are needed here, each as \"name: value\"\n" },
        { "part: { networks: {} }",
          "f:1:19: part.networks: a list is needed here, like [ a, b ]; write [] for none\n" },
        { "part: { resolvers: [ 127.0.0.1:0 ] }",
          "f:1:22: part.resolvers[0]: \"127.0.0.1:0\": allowed ports are 1 to 65535\n" },
        { "routes:\n- { via: mx }\n", "f:2:3: routes[0].domain: must be set\n" },
        { "routes:\n- { domain: a, via: up }\n",
          "f:2:21: routes[0].via: \"up\": allowed is mx or smtp://host:port\n" },
        { "routes: { domain: a }", "f:1:9: routes: a list of sections is needed here, each beginning with \"- \"; "
                                   "write [] for none\n" },
        { "state-dir: var/lib", "f:1:12: state-dir: \"var/lib\": a path from the root is needed, like "
                                "/var/lib/goniec\n" },
        { "hostname: mail_1.example.org", "f:1:11: hostname: \"mail_1.example.org\": a host name is written like "
                                          "mail.example.org\n" },
        { "hostname: a\nuser: b\nusr: c\npart: 5\n",
          "f:3:1: unknown setting \"usr\"; did you mean user?\nf:4:7: part: settings are needed here, each as "
          "\"name: value\"\n" },
        { "a: &x 1\n", "f:1:7: anchors (&), aliases (*) and tags (!) are not allowed; put text that begins so in "
                       "quotes\n" },
        { "user: a\x01", "f:1:8: control character 0x01; a settings file is plain UTF-8 text\n" },
        { "user: a\xff", "f: not UTF-8; save the file in UTF-8\n" },
        { "user: a\n---\nuser: b\n", "f:3:1: only one document is allowed in a settings file\n" },
        { "just text", "f:1:1: settings are needed here, each as \"name: value\"\n" },
        { "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "f:1:17: nested too deep\n" },
        { "? [a]\n: b\n", "f:1:3: a name is needed before the colon\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_faults faults;
        assert_null(parse(rows[i].text, 0, &faults));
        assert_string_equal(buf_cstr(&faults.text), rows[i].fault);
        conf_faults_done(&faults);
    }
}

/* Broken YAML: the words are the library's, the place must be right. */
static void broken(void **state UNUSED)
{
    static const struct {
        const char *text, *begins;
    } rows[] = {
        { "user: [a\n\n", "f:1:9:" }, { "user: \"a\n", "f:" }, { "part:\n\tidle: 5s\n", "f:2:" }, { "a: b: c\n", "f:1:" },
        { "user: @a\n", "f:1:7:" }, { "{", "f:" }, { "part:\n  idle: 5s\n hide: no\n", "f:3:2:" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_faults faults;
        assert_null(parse(rows[i].text, 0, &faults));
        if (!span_starts(buf_span(&faults.text), span_str(rows[i].begins)))
            fail_msg("%s -> %s", rows[i].text, buf_cstr(&faults.text));
        conf_faults_done(&faults);
    }
}

static void many_mistakes_are_bounded(void **state UNUSED)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "zz%dzz: 1\n", i);
    struct conf_faults faults;
    assert_null(parse(buf_cstr(&text), 0, &faults));
    assert_int_equal(faults.count, 1000);
    assert_true(faults.text.n < (64u << 10));
    assert_true(span_ends_case(buf_span(&faults.text), SPAN("too many errors; the rest is not shown\n")));
    conf_faults_done(&faults);
}

static void partial(void **state UNUSED)
{
    struct conf_faults faults;
    struct conf *conf = parse("other: { a: [1] }\nuser: b\n", CONF_PARTIAL, &faults);
    assert_non_null(conf);
    conf_free(conf);
    conf_faults_done(&faults);
    assert_null(parse("part: { other: 1 }", CONF_PARTIAL, &faults));
    conf_faults_done(&faults);
}

static void later_faults_know_their_place(void **state UNUSED)
{
    struct conf_faults faults;
    struct conf *conf = parse("user: b\nlisten:\n- address: 127.0.0.1:25\n", 0, &faults);
    assert_non_null(conf);
    const struct sample *sample = conf_values(conf);
    const struct conf_listen *listen = sample->common.listen.items;
    conf_fault_at(conf, &listen->address, &faults, "%s is in use", "the port");
    conf_fault_at(conf, &sample->common.hostname, &faults, "no name");
    assert_string_equal(buf_cstr(&faults.text), "f:3:12: the port is in use\nf: no name\n");
    conf_free(conf);
    conf_faults_done(&faults);
}

static void files(void **state UNUSED)
{
    struct conf_faults faults;
    AUTO(buf_done) struct buf text = BUF_EMPTY(CONF_TEXT_MAX);
    conf_faults_init(&faults, "/nowhere/x");
    assert_false(conf_read("/nowhere/x", &text, &faults));
    assert_string_equal(buf_cstr(&faults.text), "/nowhere/x: cannot be read: No such file or directory\n");
    conf_faults_done(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),  cmocka_unit_test(whole),
        cmocka_unit_test(mistakes),  cmocka_unit_test(broken),
        cmocka_unit_test(many_mistakes_are_bounded), cmocka_unit_test(partial),
        cmocka_unit_test(later_faults_know_their_place), cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
