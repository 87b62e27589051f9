#include "app/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static enum status become(const struct passwd *account)
{
    if (initgroups(account->pw_name, account->pw_gid) != 0 || setgid(account->pw_gid) != 0 ||
        setuid(account->pw_uid) != 0) {
        return STATUS_SYSTEM;
    }
    /* Whoever is not root now must not be able to become it again. */
    if (account->pw_uid != 0 && setuid(0) == 0) {
        errno = EPERM;
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

enum status privileges_drop(const char *user, char *error, size_t error_size)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        snprintf(error, error_size, "PR_SET_NO_NEW_PRIVS: %m");
        return STATUS_SYSTEM;
    }
    if (user == NULL || user[0] == '\0') {
        return STATUS_OK;
    }
    errno = 0;
    const struct passwd *account = getpwnam(user);
    if (account == NULL) {
        snprintf(error, error_size, "user: there is no user '%s'", user);
        return STATUS_NOT_FOUND;
    }
    if (account->pw_uid == geteuid()) {
        return STATUS_OK;
    }
    if (become(account) != STATUS_OK) {
        snprintf(error, error_size, "user: cannot become '%s': %m", user);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

uint64_t privileges_raise_descriptors(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = limit;
        raised.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            return raised.rlim_cur;
        }
    }
    return limit.rlim_cur;
}
