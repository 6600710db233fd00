/* Any text: faults or settings; and what is printed of the settings reads back and prints the same. */
#include "conf_sample.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 forgets a kilobyte when a question ("? |") ends amiss: sample `library_leaks`. It is once for each reading of
 * settings that are refused. */
const char *__lsan_default_suppressions(void) { return "leak:libfyaml.so\n"; }

static struct conf *parse(struct span text)
{
    struct conf_faults faults;
    conf_faults_init(&faults, "f");
    struct conf *conf = conf_parse(&sample_section, text, 0, &faults);
    if ((conf == NULL) != (faults.count > 0))
        abort();
    conf_faults_done(&faults);
    return conf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = size <= 16384 ? parse(span_of(data, size)) : NULL;
    if (!conf)
        return 0;
    AUTO(buf_done) struct buf once = BUF_EMPTY(1 << 20), twice = BUF_EMPTY(1 << 20), json = BUF_EMPTY(1 << 20);
    conf_print_text(&sample_section, conf_values(conf), &once);
    conf_print_json(&sample_section, conf_values(conf), &json);
    conf_free(conf);
    if (once.failed || json.failed)
        return 0;
    conf = parse(buf_span(&once));
    if (!conf)
        abort();
    conf_print_text(&sample_section, conf_values(conf), &twice);
    if (!span_eq(buf_span(&once), buf_span(&twice)))
        abort();
    conf_free(conf);
    return 0;
}
