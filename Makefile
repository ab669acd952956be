# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
#
# One Makefile, nothing recursive.  Everything is built under build/$(MODE)/.

MODE    ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
B       := build/$(MODE)
GEN     := build/gen

PKGS    := libpcap libosip2 rocksdb libsodium libcrypto sndfile libprotobuf-c yaml-0.1 alsa libsystemd jansson libisal \
           libmicrohttpd libarchive libcap-ng spandsp opus speex speexdsp opencore-amrnb opencore-amrwb libsrtp2
# G.729 needs a library under the GPL: it is linked only when asked for (make WITH_BCG729=1).
ifdef WITH_BCG729
  PKGS += libbcg729
  CPPFLAGS += -DWITH_BCG729
endif
# ipsec-mb seals faster; Debian has it for amd64, without a pkg-config file.  WITH_IPSEC_MB= builds without it.
WITH_IPSEC_MB ?= $(wildcard /usr/include/intel-ipsec-mb.h)
ifneq ($(WITH_IPSEC_MB),)
  CPPFLAGS += -DWITH_IPSEC_MB
  MORE_LIBS += -lIPSec_MB
endif
# DPDK is used where it is installed (make WITHOUT_DPDK=1: not).  Only its own files see its headers and flags.
ifndef WITHOUT_DPDK
  DPDK := $(shell pkg-config --exists 'libdpdk >= 22.11' && echo yes)
endif
ifeq ($(DPDK),yes)
  DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk))
  DPDK_LIBS := $(shell pkg-config --libs libdpdk)
  NOT_BUILT := src/capture/dpdk_none.c
else
  NOT_BUILT := src/capture/dpdk.c src/capture/dpdk_eal.c src/capture/dpdk_port.c tests/unit/test_capture_dpdk.c
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
# Each program takes from the archive only what it needs; --as-needed then leaves out the other's libraries.
LIBS    := -Wl,--as-needed $(shell pkg-config --libs $(PKGS)) $(MORE_LIBS) $(DPDK_LIBS) -lpthread -lm

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
           -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wnull-dereference
HARDEN  := -fno-common -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
LDHARD  := -pie -Wl,-z,relro,-z,now
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(GEN)

ifeq ($(MODE),release)
  MODE_CFLAGS := -O2 -g -D_FORTIFY_SOURCE=3
else ifeq ($(MODE),debug)
  MODE_CFLAGS := -O0 -g3 -DDEBUG
else ifeq ($(MODE),asan)
  MODE_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(MODE),tsan)
  CC := clang
  MODE_CFLAGS := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
  HARDEN := -fno-common -fPIE
else ifeq ($(MODE),cover)
  MODE_CFLAGS := -O0 -g --coverage
else ifeq ($(MODE),fuzz)
  CC := clang
  MODE_CFLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -DFUZZING
  HARDEN := -fno-common -fPIE
else
  $(error MODE is one of release debug asan tsan cover fuzz)
endif
ifdef CI
  WARN += -Werror
endif
ALL_CFLAGS = -std=c17 $(WARN) $(MODE_CFLAGS) $(HARDEN) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP
ALL_LDFLAGS = $(MODE_CFLAGS) $(LDHARD) $(LDFLAGS)

PROTOS  := $(wildcard src/store/*.proto)
GEN_C   := $(PROTOS:src/%.proto=$(GEN)/%.pb-c.c)
GEN_H   := $(GEN_C:.c=.h)
SRC     := $(filter-out $(NOT_BUILT),$(wildcard src/*/*.c))
OBJ     := $(SRC:%.c=$(B)/%.o) $(GEN_C:$(GEN)/%.c=$(B)/gen/%.o)
LIB     := $(B)/libcallspan.a
CALLSPAN_SRC := tools/callspan.c $(wildcard tools/cmd_*.c)
PROGS   := $(B)/callspand $(B)/callspan
UNITS   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(filter-out $(NOT_BUILT),$(wildcard tests/unit/test_*.c)))
UNIT_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH   := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
# Where there is no DPDK there is no ring to fill.
ifneq ($(DPDK),yes)
  BENCH := $(filter-out $(B)/bench/ring $(B)/bench/floor_dpdk,$(BENCH))
endif
LOAD    := $(B)/bench/libload.a
MADE    := $(B)/callspand.8 $(B)/callspan.yaml

.PHONY: matrix fuzzers races all help check check-long units lint layers format bench bench-all bench-peer bench-soak fuzz install clean demo pcaps-update FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGS) $(MADE) ## build callspand and callspan (MODE=release|debug|asan|tsan|cover|fuzz)

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

# ---- building -------------------------------------------------------------------------------

# The stamp changes when compiler or flags do, and everything that depends on it is made again.
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(ALL_LDFLAGS) $(DPDK_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(ALL_LDFLAGS) $(DPDK_CFLAGS)' >$@

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h: src/%.proto
	@mkdir -p $(dir $@)
	protoc-c --c_out=$(GEN) -Isrc $<

$(B)/gen/%.o: $(GEN)/%.c $(B)/flags
	@mkdir -p $(dir $@)
	$(CC) $(filter-out $(WARN),$(ALL_CFLAGS)) -w $(CPPFLAGS) -c -o $@ $<

$(B)/%.o: %.c $(B)/flags | $(GEN_H)
	@mkdir -p $(dir $@)
	$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -c -o $@ $<

# What includes DPDK's headers.
$(patsubst %,$(B)/%.o,src/capture/dpdk src/capture/dpdk_eal src/capture/dpdk_port tests/unit/test_capture_dpdk): \
	private CPPFLAGS += $(DPDK_CFLAGS)

$(LIB): $(OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/callspand: $(B)/tools/callspand.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# The same with a disk that stalls when a test says so.
$(B)/e2e/callspand-stall: $(B)/tools/callspand.o $(B)/tests/e2e/stall.o $(LIB)
	@mkdir -p $(dir $@)
	$(CC) $(ALL_LDFLAGS) -Wl,--wrap=pwrite -Wl,--wrap=fdatasync -o $@ $(filter %.o %.a,$^) $(LIBS)

$(B)/callspan: $(CALLSPAN_SRC:%.c=$(B)/%.o) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# What must not be called on the packet's way goes by way of the test, which counts.
WRAP_test_recorder_tap := malloc calloc realloc free aligned_alloc mmap pthread_mutex_lock pthread_cond_wait clock_gettime clock_nanosleep
# Ports made of rings are a driver's of its own.
$(B)/tests/test_capture_dpdk: private LIBS += -lrte_net_ring

$(B)/tests/%: $(B)/tests/unit/%.o $(UNIT_OBJ) $(LIB)
	@mkdir -p $(dir $@)
	$(CC) $(ALL_LDFLAGS) $(WRAP_$*:%=-Wl,--wrap=%) -o $@ $(filter %.o %.a,$^) $(shell pkg-config --libs cmocka) $(LIBS)

$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(LIB)
	@mkdir -p $(dir $@)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(LIBS)

# A benchmark may have calls pass through itself, to time them.
WRAP_ingest := segment_verify segment_verify_on segments_digest segment_keys segment_unseal catalogue_put index_batch_commit

# The load source, for programs of bench/ alone.
$(LOAD): $(patsubst %.c,$(B)/%.o,$(wildcard bench/load/*.c))
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/bench/%.o: private CPPFLAGS += -Ibench
$(B)/bench/ring.o $(B)/bench/floor_dpdk.o: private CPPFLAGS += -Ibench $(DPDK_CFLAGS)
$(B)/bench/ring: private LIBS += -lrte_net_ring

$(B)/bench/%: $(B)/bench/%.o $(LOAD) $(LIB)
	@mkdir -p $(dir $@)
	$(CC) $(ALL_LDFLAGS) $(WRAP_$*:%=-Wl,--wrap=%) -o $@ $(filter %.o %.a,$^) $(LIBS)

# Manual and example configuration speak from the table of options.
$(B)/callspand.8: man/callspand.8.in $(B)/callspand
	$(B)/callspand --options-mdoc | sed -e '/^@OPTIONS@/{r /dev/stdin' -e 'd}' $< >$@

$(B)/callspan.yaml: $(B)/callspand
	$(B)/callspand --options >$@

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- checking -------------------------------------------------------------------------------

units: $(UNITS) ## run the unit tests of this MODE
	@tests/run-units $(B)/tests

check: all $(UNITS) $(BENCH) $(B)/e2e/callspand-stall ## run all tests (under 20 minutes; seed printed)
	@tests/run $(MODE)

check-long: all $(UNITS) $(BENCH) $(B)/e2e/callspand-stall ## the same with full counts: kill loops, long fuzzing, soaks, races
	@$(MAKE) --no-print-directory MODE=fuzz fuzzers
	@$(MAKE) --no-print-directory MODE=tsan races
	@LONG=1 tests/run $(MODE)

matrix: all ## record live in every cell of ../shared/lab and print the table (root; about 20 minutes)
	@LONG=1 CALLSPAN_BUILD=$(B) python3 tests/e2e/matrix.py

lint: layers ## clang-format, clang-tidy and cppcheck over the tree
	@tests/lint

layers: ## fail when an include runs upwards
	@tests/layers

format: ## rewrite the sources with clang-format
	clang-format -i $(shell git ls-files '*.c' '*.h')

fuzz: ## run every fuzzer for FUZZ_SECONDS (60) each
	@$(MAKE) --no-print-directory MODE=fuzz fuzzers
	@tests/run-fuzz build/fuzz/fuzz $${FUZZ_SECONDS:-60}

fuzzers: $(FUZZERS)

# What tests need under ThreadSanitizer.
races: all $(patsubst %,$(B)/bench/%,$(filter generate ring,$(notdir $(BENCH)))) $(B)/e2e/callspand-stall

bench: all $(BENCH) ## measure against the bare loop and print the table (ten minutes; root for the part at an interface)
	@bench/run $(B)

bench-all: all $(BENCH) ## the same with every row, the vault with millions of calls too (an hour)
	@bench/run $(B) --all

bench-peer: all $(BENCH) ## the same capture by tshark, sngrep and tcpdump, where they are: the ratios
	@bench/run $(B) --peer

MINUTES ?= 30
bench-soak: all $(BENCH) ## calls that come and go at an interface for MINUTES (30): nothing lost, memory flat (root)
	@bench/run $(B) --soak $(MINUTES)

pcaps-update: all ## rewrite the expectations beside tests/pcaps, for review as a diff
	@tests/golden --update

demo: all ## record the bundled capture into a store of its own, list its calls, export one
	@tests/demo $(B)

install: all ## install programs, manual pages, profiles and units under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/callspan/policies $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)/etc/callspan $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(B)/callspand $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(B)/callspan $(DESTDIR)$(PREFIX)/bin/
	install -m 644 conf/policies/*.yaml $(DESTDIR)$(PREFIX)/share/callspan/policies/
	test -e $(DESTDIR)/etc/callspan/callspan.yaml || install -m 644 $(B)/callspan.yaml $(DESTDIR)/etc/callspan/
	install -m 644 conf/callspand.service conf/callspan.service conf/callspan-purge.service conf/callspan-purge.timer $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 644 $(B)/callspand.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 man/callspan.1 $(DESTDIR)$(PREFIX)/share/man/man1/

clean: ## remove build/
	rm -rf build
