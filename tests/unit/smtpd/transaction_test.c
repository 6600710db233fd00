#include "smtpd/session_priv.h"
#include "test.h"

#define MANY 8
#define OCTETS 10000u

/* Sessions of a process that is only made of what transactions look at. */
struct scene {
    struct smtpd_root root;
    struct smtpd_config config;
    struct smtpd smtpd;
    struct session sessions[MANY];
};

static void scene_init(struct scene *scene, int64_t max_memory)
{
    *scene = (struct scene){ .smtpd = { .loop = loop_new(), .config = &scene->config } };
    scene->root.common.spool.big_body_octets = scene->root.common.spool.segment_octets = 1 << 20;
    scene->config.max_memory = (uint64_t)max_memory;
    scene->config.root = &scene->root;
    for (unsigned i = 0; i < MANY; i++)
        scene->sessions[i] = (struct session){ .smtpd = &scene->smtpd, .config = &scene->config };
    transactions_init(&scene->smtpd);
}

static void scene_done(struct scene *scene)
{
    transactions_done(&scene->smtpd);
    assert_int_equal(scene->smtpd.held, 0);
    loop_free(scene->smtpd.loop);
}

/* So many messages at the same time, begun and ended. */
static void work(struct scene *scene, unsigned count)
{
    static const char octets[OCTETS];
    for (unsigned i = 0; i < count; i++) {
        struct transaction *transaction = transaction_begin(&scene->sessions[i]);
        transaction_hold(transaction, OCTETS);
        assert_int_equal(intake_take(&transaction->intake, span_of(octets, OCTETS)), STATUS_OK);
    }
    assert_int_equal(scene->smtpd.held, count * OCTETS);
    for (unsigned i = 0; i < count; i++)
        transaction_end(scene->sessions[i].transaction);
}

static void test_spare_ones_go_when_nobody_needs_them(void **state)
{
    static struct scene scene;
    scene_init(&scene, 16 << 20);
    work(&scene, MANY);
    assert_int_equal(scene.smtpd.spare_count, MANY);
    assert_true(scene.smtpd.spare_octets >= MANY * OCTETS);
    transactions_tidy(&scene.smtpd); /* all of them were needed a moment ago */
    assert_int_equal(scene.smtpd.spare_count, MANY);
    work(&scene, 3);
    work(&scene, 2);
    transactions_tidy(&scene.smtpd);
    assert_int_equal(scene.smtpd.spare_count, 3);
    transactions_tidy(&scene.smtpd);
    assert_int_equal(scene.smtpd.spare_count, 0);
    assert_int_equal(scene.smtpd.spare_octets, 0);
    transactions_tidy(&scene.smtpd);
    scene_done(&scene);
}

/* What lies idle is a small part of what may be in use. */
static void test_spare_ones_have_a_limit(void **state)
{
    static struct scene scene;
    scene_init(&scene, 8 * 3 * OCTETS);
    work(&scene, MANY);
    assert_true(scene.smtpd.spare_count > 0 && scene.smtpd.spare_count <= 3);
    assert_true(scene.smtpd.spare_octets <= 3 * OCTETS);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_spare_ones_go_when_nobody_needs_them),
                                        cmocka_unit_test(test_spare_ones_have_a_limit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
