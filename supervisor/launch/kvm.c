/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm.c - a machine of one page that runs one instruction: there are nodes with a
 * /dev/kvm that opens and runs no guest.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>

#if defined(__x86_64__)

#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE      4096
#define START     0x1000
#define LIMIT_S   2
#define CPUID_MAX 256
#define ARCH_CAPABILITIES 0x10a /* the MSR that QEMU insists on */

struct vm {
	int kvm, vm, cpu;
	unsigned char *page;
	struct kvm_run *run;
	size_t run_size;
};

static void vm_close(struct vm *v)
{
	if (v->run)
		(void)munmap(v->run, v->run_size);
	if (v->page)
		(void)munmap(v->page, PAGE);
	cleanup_fd_(&v->cpu);
	cleanup_fd_(&v->vm);
	cleanup_fd_(&v->kvm);
}

static void *map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0),
			fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int vm_open(struct vm *v, struct err *err)
{
	struct kvm_userspace_memory_region memory = { .guest_phys_addr = START, .memory_size = PAGE };
	int size;

	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0)
		return err_set(err, errno, "open /dev/kvm");
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		return err_set(err, errno, "make a virtual machine");
	v->page = map(-1, PAGE);
	memory.userspace_addr = (uintptr_t)v->page;
	if (!v->page || ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &memory) < 0)
		return err_set(err, errno, "give memory to a virtual machine");
	v->cpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (v->cpu < 0 || size <= 0)
		return err_set(err, errno, "give a processor to a virtual machine");
	v->run_size = (size_t)size;
	v->run = map(v->cpu, v->run_size);
	return v->run ? 0 : err_set(err, errno, "map a virtual processor");
}

/* What QEMU gives to a processor of the host's kind; it aborts where that is refused. */
static int like_host(struct vm *v, struct err *err)
{
	auto_free struct kvm_cpuid2 *id =
		calloc(1, sizeof(*id) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	auto_free struct kvm_msrs *msr = calloc(1, sizeof(*msr) + sizeof(struct kvm_msr_entry));

	if (!id || !msr)
		return err_set(err, ENOMEM, "try KVM");
	id->nent = CPUID_MAX;
	if (ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, id) < 0 || ioctl(v->cpu, KVM_SET_CPUID2, id) < 0)
		return err_set(err, errno, "give a guest the host's kind of processor");
	msr->nmsrs = 1;
	msr->entries[0].index = ARCH_CAPABILITIES;
	if (ioctl(v->kvm, KVM_GET_MSRS, msr) != 1)
		return 0;
	if (ioctl(v->cpu, KVM_SET_MSRS, msr) != 1)
		return err_say(err, EIO, "it offers the model specific register %#x, and refuses it",
			       ARCH_CAPABILITIES);
	return 0;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static int run(struct vm *v, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_alarm }; /* it interrupts the call below */
	struct kvm_regs regs = { .rip = START, .rflags = 2 };
	struct kvm_sregs sregs;
	int rc;

	v->page[0] = 0xf4; /* hlt */
	if (ioctl(v->cpu, KVM_GET_SREGS, &sregs) < 0)
		return err_set(err, errno, "look at a virtual processor");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(v->cpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->cpu, KVM_SET_REGS, &regs) < 0)
		return err_set(err, errno, "set a virtual processor");
	(void)sigaction(SIGALRM, &sa, NULL);
	(void)alarm(LIMIT_S);
	rc = ioctl(v->cpu, KVM_RUN, 0);
	(void)alarm(0);
	if (rc < 0)
		return err_set(err, errno, "run a guest of one instruction");
	if (v->run->exit_reason != KVM_EXIT_HLT)
		return err_say(err, EIO, "a guest of one instruction ended for reason %u",
			       v->run->exit_reason);
	return 0;
}

int launch_kvm(bool host, struct err *err)
{
	struct vm v = { .kvm = -1, .vm = -1, .cpu = -1 };
	int rc = vm_open(&v, err);

	if (rc == 0 && host)
		rc = like_host(&v, err);
	if (rc == 0)
		rc = run(&v, err);
	vm_close(&v);
	return rc;
}

#else

/* How a guest is made to run one instruction is known for x86 alone: it must open. */
int launch_kvm(bool host, struct err *err)
{
	auto_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	(void)host;
	return fd < 0 ? err_set(err, errno, "open /dev/kvm") : 0;
}

#endif
