# make                both programs, in build/release
# make deps           install the Debian packages that building and testing need
# make demo           the whole story on a private containerd, about a minute
# make check          every test; MODE=asan, MODE=amnesia and MODE=crash included
# make unit           the unit tests alone (no root needed)
# make host           the tests on this machine's kernel (root)
# make containerd     the tests through a private containerd (root)
# make check-guest    unikernels through a private containerd and QEMU (root)
# make check-versions the same with newer containerds and Dockers, fetched, as a table
# make sweep          kill at crash points and at system calls, recover, look (root)
# make check-v2       cgroup2 alone, and systemd as init, in a virtual machine (root)
# make power          cut the power of a virtual machine, POWER_CUTS times (root)
# make fuzz           the fuzz targets, FUZZ_SECONDS each (default 5)
# make coverage       branches of journal/ and the engine that no unit or sim test takes
# make model          the table of a task's life in SPIN: every order, every death
# make mutants        sabotage a copy of the tree, line by line; who notices?
# make torture        what check samples, whole: hours, or TORTURE_SCALE=200 (root)
# make bench          our numbers and the Go shim's, in turn, as a table
# make lint           layers, lengths, headers, manual pages, cppcheck
# make install        DESTDIR= PREFIX=/usr/local; the shim, uruncctl, pages, units
# make uninstall      the way back: removes what install put there
# make clean          remove build/
# make help           this text
#
# MODE=release (default), debug, asan, crash, amnesia or cov: each has its own
# folder in build/. CC=clang works. Nothing is listed twice: a .c file is built
# because it is there, and objects say themselves which headers they read (-MMD).
# V=1 shows the commands.

MODE    ?= release
PREFIX  ?= /usr/local
CC      ?= cc
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
B       := build/$(MODE)$(if $(filter clang%,$(CC)),-clang)

HARDEN       := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
MODE_release := -O2 $(HARDEN)
MODE_debug   := -O0
MODE_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_crash   := -O1 -DURUNC_CRASH_POINTS -DURUNC_TEST_PLACES
MODE_amnesia := -O1 -DURUNC_AMNESIA
MODE_cov     := -O0 --coverage
MFLAGS       := $(or $(MODE_$(MODE)),$(error MODE=$(MODE): no such mode))

PKGS     := sqlite3 libmd libprotobuf-c libevent_core json-c libmnl libnghttp2 libmd
CPPFLAGS += -I. -I$(B) -D_GNU_SOURCE \
            $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS   += -std=gnu11 -g $(MFLAGS) -ffunction-sections -fdata-sections \
            -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wswitch-enum -Wimplicit-fallthrough -Wvla -Wpointer-arith \
            -Wwrite-strings -Werror
LDFLAGS  += -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro -Wl,-z,noexecstack
LDFLAGS  += $(if $(filter release,$(MODE)),-pie)
# A library with an archive is linked in: a start spends no time on loading it, a fork
# copies fewer mappings, and its relocated pages are not dirty in every shim. libc stays
# shared. STATIC= links all of them as shared libraries.
STATIC   ?= $(filter release crash,$(MODE))
archive   = $(if $(STATIC),$(filter /%,$(shell $(CC) -print-file-name=$(1:-l%=lib%.a))))
LDLIBS   += $(foreach l,$(sort $(shell pkg-config --libs-only-l $(PKGS) 2>/dev/null)),\
            $(or $(call archive,$(l)),$(l))) -lm

PROTO := $(wildcard proto/api/*.proto)
LIB   := $(filter-out journal/tool/%,$(wildcard journal/*.c journal/*/*.c)) \
         $(wildcard proto/*/*.c supervisor/*/*.c)
TLIB  := $(wildcard test/lib/*.c)
UNIT  := $(patsubst %.c,$(B)/%,$(wildcard test/unit/*/test_*.c))
SIM   := $(patsubst %.c,$(B)/%,$(wildcard test/sim/test_*.c))
HOST  := $(patsubst %.c,$(B)/%,$(wildcard test/host/test_*.c))
TOOLS := $(patsubst test/tool/%.c,$(B)/%,$(wildcard test/tool/*.c)) $(B)/calls $(B)/famine.so

pb    := $(PROTO:%.proto=$(B)/%.pb-c.o)
objs   = $(patsubst %.c,$(B)/%.o,$(1))
SHIM  := $(B)/containerd-shim-urunc-v2
CTL   := $(B)/uruncctl
BINS  := $(SHIM) $(CTL)

.PHONY: all deps check demo unit sim host containerd check-guest check-versions check-v2 \
	sweep power fuzz bench lint install uninstall clean help tests tools torture model coverage \
	mutants
.SECONDARY:
.DELETE_ON_ERROR:

q = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo '  $(1)  $@';)

all: $(BINS)

$(B)/liburunc.a: $(call objs,$(LIB)) $(pb) $(B)/journal/image.o
	@rm -f $@
	$(call q,AR)$(AR) rcs $@ $^
$(SHIM): $(call objs,$(wildcard cmd/shim/*.c)) $(B)/liburunc.a
$(CTL): $(call objs,$(wildcard cmd/uruncctl/*.c)) $(B)/liburunc.a
$(BINS):
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/test/%: $(B)/test/%.o $(call objs,$(TLIB)) $(B)/liburunc.a
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
# What asks for memory, and SQLite, has another name there: see test/lib/hungry.h.
HUNGRY := malloc calloc realloc reallocarray strdup strndup asprintf vasprintf \
          json_object_new_object json_object_new_array json_object_new_string \
          json_object_new_int64 json_object_new_uint64 json_object_new_boolean \
          json_object_to_json_string_ext json_object_object_add json_object_array_add \
          sqlite3_step sqlite3_extended_errcode
$(B)/libhungry.a: $(B)/liburunc.a
	$(call q,OBJCOPY)objcopy $(foreach f,$(HUNGRY),--redefine-sym $(f)=hungry_$(f)) \
		--redefine-sym __asprintf_chk=hungry_asprintf_chk $< $@
$(B)/test/sim/test_famine: $(B)/test/sim/test_famine.o $(call objs,$(TLIB)) $(B)/libhungry.a
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
# What asks the system or for memory has: see test/lib/refused.h.
REFUSED := access calloc fcntl fdopendir fstat fstatat fsync lstat malloc mkdir mkdtemp open \
           openat opendir read readdir realloc rename rmdir scandir stat statvfs strdup unlink \
           unlinkat write
$(B)/librefused.a: $(B)/liburunc.a
	$(call q,OBJCOPY)objcopy $(foreach f,$(REFUSED),--redefine-sym $(f)=refused_$(f)) $< $@
$(B)/test/unit/journal/test_refused%: $(B)/test/unit/journal/test_refused%.o \
		$(call objs,$(TLIB)) $(B)/librefused.a
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
$(B)/famine.so: test/preload/famine.c
	@mkdir -p $(@D)
	$(call q,LD)$(CC) $(CPPFLAGS) -std=gnu11 -O2 -fPIC -shared -Wall -Wextra -Werror $< -o $@
$(B)/calls: $(call objs,$(wildcard test/calls/*.c)) $(B)/liburunc.a
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/sweep: $(B)/test/calls/life.o $(B)/test/calls/picture.o $(B)/test/sweep/pair.o
$(filter-out $(B)/calls $(B)/famine.so,$(TOOLS)): $(B)/%: $(B)/test/tool/%.o $(B)/liburunc.a
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(B)/liburunc.a $(LDLIBS) -o $@

# The version is told by the programs alone: a commit does not make all else new.
$(B)/cmd/%.o: CPPFLAGS += -DURUNC_VERSION='"$(VERSION)"'

# Generated headers come first, once; after that the .d files know better.
$(B)/%.o: %.c | $(pb:.o=.h)
	@mkdir -p $(@D)
	$(call q,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/%.pb-c.o: $(B)/%.pb-c.c
	$(call q,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c $< -o $@
$(B)/%.pb-c.c $(B)/%.pb-c.h &: %.proto
	@mkdir -p $(@D)
	$(call q,PB)protoc-c -I. --c_out=$(B) $<

# An empty journal, made once, here; a new task's file is a copy of it.
$(B)/journal/tool/mkimage: $(B)/journal/tool/mkimage.o $(B)/journal/store/schema.o
	$(call q,LD)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/journal/image.c: $(B)/journal/tool/mkimage
	@rm -f $(B)/journal/image.db
	$< $(B)/journal/image.db >$@
	@rm -f $(B)/journal/image.db
$(B)/journal/image.o: $(B)/journal/image.c
	$(call q,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

tests: $(UNIT) $(SIM) $(HOST)
tools: $(TOOLS)

deps:
	dist/install-deps

unit: $(UNIT) $(SIM)
	@test/run $^
sim: $(SIM)
	@test/run $^
host: all $(HOST) tools
	test/peers
	test/peers qemu
	@PATH="$(CURDIR)/build/peers/bin:$$PATH" test/run $(HOST) test/host/test_*.sh
containerd: all tools
	@TEST_JOBS=$${TEST_JOBS:-2} test/run test/containerd/test_*
check-guest: all tools
	@TEST_JOBS=$${TEST_JOBS:-2} test/run test/unikernel/test_*
sweep: all tools
	$(MAKE) MODE=crash all tools build/crash/test/unit/journal/test_crash
	@TEST_TIMEOUT=$${TEST_TIMEOUT:-1500} test/run build/crash/test/unit/journal/test_crash \
		test/sweep/test_*
check-v2: all tools $(HOST)
	-test/peers vm && test/peers guest
	@TEST_TIMEOUT=10000 test/run test/v2/test_*
power: all tools
	test/run test/power/test_*
fuzz:
	test/fuzz/run $(or $(FUZZ_SECONDS),5)
lint:
	test/lint/all

check: deps
	test/check
check-versions: deps
	$(MAKE) all tools
	test/versions
demo: deps
	$(MAKE) all tools
	test/demo
coverage:
	FAMINE_STRIDE=1 TEST_TIMEOUT=3600 $(MAKE) MODE=cov unit
	test/coverage
model: $(CTL)
	MODE=$(MODE) test/run test/model/test_model
mutants: deps
	test/peers
	test/mutants/run
bench: deps
	$(MAKE) all tools
	test/bench
torture: deps
	test/torture

install: all
	install -D -m755 -t $(DESTDIR)$(PREFIX)/bin $(BINS)
	for s in 5 7 8; do \
		install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man$$s man/*.$$s || exit 1; done
	install -D -m644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system dist/*.service dist/*.timer
	sed -i 's|@BINDIR@|$(PREFIX)/bin|' $(patsubst dist/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%, \
		$(wildcard dist/*.service))
	install -D -m644 dist/uruncctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/uruncctl
uninstall:
	rm -f $(patsubst $(B)/%,$(DESTDIR)$(PREFIX)/bin/%,$(BINS))
	for p in man/*.[578]; do \
		rm -f $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p#man/}; done
	rm -f $(patsubst dist/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%, \
		$(wildcard dist/*.service dist/*.timer))
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/uruncctl

clean:
	rm -rf build
help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

-include $(shell find $(B) -name '*.d' 2>/dev/null)
