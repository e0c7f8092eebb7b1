// What the kernel lets this process do, for who asks why something does not work.
#include "addon.h"

#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qe {

namespace {

// Null where a descriptor was had, otherwise why not.
Napi::Value closed(Napi::Env env, int fd)
{
    if (fd < 0) {
        return Napi::String::New(env, std::strerror(errno));
    }
    (void) close(fd);
    return env.Null();
}

// In a child of its own, as there is no way back.
Napi::Value namespaces(Napi::Env env)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : errno);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            pid = -1;
        }
    }
    if (pid < 0) {
        return Napi::String::New(env, std::strerror(errno));
    }
    if (status == 0) {
        return env.Null();
    }
    return Napi::String::New(
        env, WIFEXITED(status) ? std::strerror(WEXITSTATUS(status)) : "it was killed");
}

// {memfd, pidfd, namespaces}: each null where that can be had, otherwise why not.
Napi::Value machine(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    Napi::Object found = Napi::Object::New(env);

    found.Set("memfd", closed(env, memfd_create("qe-doctor", MFD_CLOEXEC)));
    found.Set("pidfd", closed(env, (int) syscall(SYS_pidfd_open, getpid(), 0)));
    found.Set("namespaces", namespaces(env));
    return found;
}

} // namespace

void add_machine(Napi::Env env, Napi::Object exports)
{
    exports.Set("machine", Napi::Function::New(env, machine, "machine"));
}

} // namespace qe
