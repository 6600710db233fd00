#include "conf_sample.h"
#include "test.h"

static struct conf *parse(struct span text)
{
    struct conf_faults faults;
    conf_faults_init(&faults, "f");
    struct conf *conf = conf_parse(&sample_section, text, 0, &faults);
    assert_string_equal(buf_cstr(&faults.text), "");
    conf_faults_done(&faults);
    return conf;
}

/* What is printed is a settings file again, with the same values. */
static void printed_text_reads_back(void **state UNUSED)
{
    static const char *const texts[] = {
        "",
        "hostname: a.example\npart: { names: [\"- a\", 'b: c', \"#\", \"\", \"zażółć\"], rate: 3/h, secret: s }\n"
        "routes: [ { domain: '*' }, { domain: 'null', via: 'smtp://x', weight: 0 } ]\nlisten: []\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(buf_done) struct buf once = BUF_EMPTY(1 << 20), twice = BUF_EMPTY(1 << 20);
        struct conf *conf = parse(span_str(texts[i]));
        conf_print_text(&sample_section, conf_values(conf), &once);
        struct conf *again = parse(buf_span(&once));
        conf_print_text(&sample_section, conf_values(again), &twice);
        assert_string_equal(buf_cstr(&once), buf_cstr(&twice));
        assert_true(span_find_span(buf_span(&once), SPAN("secret: s")) == once.n);
        conf_free(conf);
        conf_free(again);
    }
}

static void values_come_with_their_meaning(void **state UNUSED)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1 << 20);
    struct conf *conf = parse(SPAN("part: { max-size: 1MiB }"));
    conf_print_text(&sample_section, conf_values(conf), &text);
    struct span wanted = SPAN("  # Largest message.\n  # default 25MiB; 1KiB to 1GiB\n  max-size: 1MiB\n");
    assert_true(span_find_span(buf_span(&text), wanted) < text.n);
    buf_clear(&text);
    conf_print_json(&sample_section, conf_values(conf), &text);
    wanted = SPAN("{\"name\": \"part.max-size\", \"value\": \"1MiB\", \"default\": \"25MiB\", \"least\": \"1KiB\", "
                  "\"most\": \"1GiB\", \"kind\": \"size\", \"help\": \"Largest message.\"}");
    assert_true(span_find_span(buf_span(&text), wanted) < text.n);
    conf_free(conf);
}

static void manual(void **state UNUSED)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1 << 20);
    conf_print_man(&sample_section, &text);
    struct span wanted = SPAN(".TP\n.BR max\\-size \" (size; default 25MiB; 1KiB to 1GiB)\"\nLargest message.\n");
    assert_true(span_find_span(buf_span(&text), wanted) < text.n);
    wanted = SPAN(".SS tls.certificates\n");
    assert_true(span_find_span(buf_span(&text), wanted) < text.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(printed_text_reads_back),
                                        cmocka_unit_test(values_come_with_their_meaning), cmocka_unit_test(manual) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
