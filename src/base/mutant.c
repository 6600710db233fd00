#include "base/mutant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mutant mutant_made;

static const struct { const char *name, *what; } mutants[MUTANT_COUNT] = {
    [MUTANT_NONE] = { "none", "no mistake" },
#define X(mutant, name, what) [MUTANT_##mutant] = { name, what },
    MUTANT_LIST(X)
#undef X
};

bool mutant_set(const char *name)
{
    mutant_made = MUTANT_NONE;
    for (int i = 0; name && i < MUTANT_COUNT; i++)
        if (strcmp(mutants[i].name, name) == 0) {
            mutant_made = (enum mutant)i;
            return true;
        }
    return name == NULL;
}

const char *mutant_name(enum mutant mutant) { return mutants[mutant].name; }
const char *mutant_what(enum mutant mutant) { return mutants[mutant].what; }

/* Before main(), so that every process that a test starts is the same. */
__attribute__((constructor)) static void from_environment(void)
{
    const char *name = getenv("GONIEC_MUTANT");
    if (mutant_set(name))
        return;
    fprintf(stderr, "GONIEC_MUTANT: there is no mutant %s\n", name);
    exit(2);
}
