#!/usr/bin/python3
"""Holds the simulator to goniec's rooms: calls.py CALLS ARCHIVE...

Whatever the rooms call outside of themselves must be redirected to the simulator's kernel (CALLS), or stand here as
something that touches nothing but memory. A variable that the rooms change must be one that kernel_globals.c keeps for each
process, or stand here with the reason why it need not be.
"""
import re
import subprocess
import sys

# Memory, text and numbers; and signalfd, which only the supervisor uses.
PURE = """
__assert_fail __cpu_model __errno_location __explicit_bzero_chk __memcpy_chk __memmove_chk __memset_chk __sched_cpucount
__snprintf_chk __vsnprintf_chk __stack_chk_fail __tls_get_addr _GLOBAL_OFFSET_TABLE_ explicit_bzero fclose fileno gmtime_r
inet_ntop inet_pton memchr memcmp memcpy memmem memmove memrchr memset qsort snprintf vsnprintf sigaddset sigemptyset
sigdelset sigfillset strchr strcmp strcpy strerror strerrorname_np strlen strncmp strncpy strnlen strpbrk strrchr strspn strstr
strcspn strtoull strtoul strtol __isoc99_sscanf bsearch pthread_once getpwuid_r getpwnam getgrouplist getgrgid_r getgrgid
getgrnam getgrnam_r __fdelt_chk munmap ffs tolower toupper __ctype_b_loc __ctype_tolower_loc environ signalfd
""".split()
# Other people's libraries. TLS, DNS and SQLite are not simulated; what the others do stays in memory.
LIBRARIES = ("ASN1_", "BIO_", "CRYPTO_", "ERR_", "EVP_", "GENERAL_", "HMAC", "OPENSSL_", "OSSL_", "PEM_", "RAND_", "SSL_",
             "TLS_", "X509", "ASYNC_", "BN_", "EC_", "OBJ_", "ECDSA_", "RSA_", "d2i_", "i2d_", "crypt_", "crypto_", "fy_", "idn2_", "json_", "seccomp_",
             "sodium_", "sqlite3_", "ub_", "XXH", "__asan_", "__ubsan_", "__sanitizer", "__lsan", "__gcov", "__cyg")
# Locks have tests of their own; here lock_close() does nothing, so what it would call is never called.
NOT_SIMULATED = ("liblock", "libdirectory", "libsupervisor", "libkeys")
VARIABLES = {
    "drawn": "kept", "self": "kept",
    "crc_table": "the same in every process", "bio_method": "TLS is not simulated", "once": "TLS is not simulated",
    "context": "TLS is not simulated", "library": "TLS is not simulated",
    "mutant_made": "all processes make the same mistake",
}


def nm(archive, *options):
    text = subprocess.run(["nm", *options, archive], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in text.splitlines() if line]


def main():
    calls = set(open(sys.argv[1]).read().split())
    archives = [a for a in sys.argv[2:] if a.endswith(".a")]
    defined, faults = set(), []
    for archive in archives:
        defined |= {row[-1] for row in nm(archive, "--defined-only") if len(row) == 3}
    for archive in archives:
        if any(name in archive for name in NOT_SIMULATED):
            continue
        for row in nm(archive, "-u"):
            name = row[-1]
            if row[0] == "U" and name not in defined | calls and name not in PURE and not name.startswith(LIBRARIES):
                faults.append(f"{archive}: {name}() goes past the simulator; give it a __wrap_{name} in tests/sim/kernel_*.c")
        for row in nm(archive, "--defined-only"):
            if len(row) != 3 or row[1] not in "bBdD" or row[-1].startswith(("__asan", "__odr", ".L", "__ubsan")):
                continue
            name = re.sub(r"\.\d+$", "", row[-1])
            if row[1] in "bB" and name not in VARIABLES and not is_thread_local(archive, row[-1]):
                faults.append(f"{archive}: the variable {name} is shared by all simulated processes; see kernel_globals.c")
    for fault in sorted(set(faults)):
        print(fault)
    print(f"{len(calls)} calls are redirected, {len(set(faults))} faults")
    return 1 if faults else 0


def is_thread_local(archive, name):
    """Those are kept as a whole."""
    text = subprocess.run(["readelf", "-sW", archive], capture_output=True, text=True, check=True).stdout
    return any(line.split()[3] == "TLS" for line in text.splitlines() if line.split()[-1:] == [name] and len(line.split()) > 7)


sys.exit(main())
