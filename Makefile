# The commands of the project; each alone is enough on a fresh Debian 12. Meson does the building.
#
#   make            the program, in build/release/src/cli/goniec
#   make run        a whole mail server on high ports, and a message going through it
#   make test       every test there is
#   make count      what one message costs, beside the budget: calls, syncs, allocations, instructions (UPDATE=1 SHOW=)
#   make bench      goniec beside Postfix on this machine
#   make scale      goniec with a million waiting, 100,000 domains, bad weather, big mail (CASES=)
#   make agree      goniec's load generator and receiver beside Postfix's own
#   make attack     an honest client before and during ten kinds of attack
#   make crash      ROUNDS=100 of kill -9 under load, and an account of every message (FROM=1, the first seed;
#                   POWER=1: the disk loses power in each)
#   make soak       MINUTES=20 of mixed load, with figures over time that must stay flat
#   make sim        goniec's processes on a simulated machine with every trouble there is, SEEDS=500 lives (FROM=1, SCENARIO=)
#   make score      how soon a stolen password or a hacked website is noticed, and whom it wrongs (docs/score.md)
#   make mutants    goniec with one mistake at a time, until the simulator sees it (SEEDS=100, FROM=1)
#   make fuzz       every fuzzer, which share MINUTES=20 (or SECONDS= for each; TARGETS= of them)
#   make fuzz-afl   the same under AFL++, SECONDS=30 for each
#   make fuzz-coverage   which lines the fuzzers' kept corpora reach
#   make fuzz-keep  what make fuzz has found becomes part of the kept corpora, as little of it as does the same
#   make lint       what gcc's analyzer, cppcheck and clang-tidy say of src: nothing
#   make install    PREFIX=/usr/local DESTDIR=
#   make clean

PREFIX ?= /usr/local
MINUTES ?= 20
ROUNDS ?= 100
FROM ?= 1
BUILD := build/release
# Settings and data have their usual places whatever the prefix; meson would put them below it.
PLACES := --prefix=$(PREFIX) --sysconfdir=/etc --localstatedir=/var

CASES ?= table,million,domains,recipients,weather,fair,big,idle,cores
.PHONY: all run test count bench scale agree attack crash soak sim score mutants fuzz fuzz-afl fuzz-coverage fuzz-keep lint install clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD) src/cli/goniec

$(BUILD)/build.ninja:
	packaging/packages.sh build
	meson setup $(PLACES) $(BUILD) -Dtests=false

run:
	packaging/packages.sh run
	$(MAKE) --no-print-directory all
	scripts/run $(BUILD)/src/cli/goniec

test: $(BUILD)/build.ninja
	packaging/packages.sh test
	scripts/test

count:
	packaging/packages.sh count
	$(MAKE) --no-print-directory all
	/usr/bin/python3 bench/count.py $(if $(UPDATE),--update) $(if $(SHOW),--show $(SHOW))

bench:
	packaging/packages.sh bench
	$(MAKE) --no-print-directory all
	/usr/bin/python3 bench/run.py

scale:
	packaging/packages.sh bench
	$(MAKE) --no-print-directory all
	/usr/bin/python3 bench/scale.py --cases $(CASES)

attack:
	packaging/packages.sh bench
	$(MAKE) --no-print-directory all
	/usr/bin/python3 bench/attack.py

agree:
	packaging/packages.sh bench
	$(MAKE) --no-print-directory all
	/usr/bin/python3 bench/agree.py

crash:
	packaging/packages.sh test
	$(MAKE) --no-print-directory all
	GONIEC_BUILD=$(BUILD) tests/crash/rounds.py --rounds $(ROUNDS) --from $(FROM) $(if $(POWER),--power)

soak:
	packaging/packages.sh test
	$(MAKE) --no-print-directory all
	GONIEC_BUILD=$(BUILD) tests/crash/soak.py --minutes $(MINUTES) --csv soak.csv

sim:
	packaging/packages.sh test
	test -f build/sim/build.ninja || meson setup build/sim -Doptimization=2
	ninja -C build/sim tests/sim/sim
	build/sim/tests/sim/sim --seeds $(or $(SEEDS),500) --from $(FROM) --jobs $(shell nproc) $(if $(SCENARIO),--scenario $(SCENARIO))

score:
	packaging/packages.sh test
	test -f build/sim/build.ninja || meson setup build/sim -Doptimization=2
	ninja -C build/sim test_score_scenarios
	build/sim/test_score_scenarios --table

mutants:
	packaging/packages.sh test
	test -f build/mutants/build.ninja || meson setup build/mutants -Dmutants=true
	ninja -C build/mutants tests/sim/sim
	/usr/bin/python3 tests/sim/mutants.py build/mutants/tests/sim/sim --seeds $(or $(SEEDS),100) --from $(FROM)

fuzz:
	packaging/packages.sh fuzz
	scripts/fuzz $(if $(SECONDS),each $(SECONDS),all $(MINUTES)) $(TARGETS)

fuzz-afl:
	packaging/packages.sh afl
	scripts/fuzz-afl $(if $(SECONDS),$(SECONDS),30) $(TARGETS)

fuzz-coverage:
	packaging/packages.sh fuzz
	scripts/fuzz-coverage --files

fuzz-keep:
	packaging/packages.sh fuzz
	scripts/fuzz keep $(TARGETS)

lint:
	packaging/packages.sh lint
	scripts/lint

install: $(BUILD)/build.ninja
	meson configure $(BUILD) $(PLACES)
	ninja -C $(BUILD)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build
