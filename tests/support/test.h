/* What every unit test includes: cmocka and comparisons of spans. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/span.h"

#define assert_span(given, literal)                                                                     \
    do {                                                                                               \
        struct span got_ = (given), want_ = span_str(literal);                                          \
        if (!span_eq(got_, want_))                                                                     \
            fail_msg("%s is \"%.*s\", not \"%.*s\"", #given, SPAN_ARGS(got_), SPAN_ARGS(want_));        \
    } while (0)
