// Where a warm server will listen: Node itself cannot bind without listening.
#include "addon.h"

#include <cerrno>
#include <cstddef>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace qe {

namespace {

// {fd, name}: a socket that is bound, to a name of the kernel's choice in the abstract
// namespace, and does not listen yet. Whoever asks closes it.
Napi::Value bind_warm(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    sockaddr_un address = {};
    socklen_t size = sizeof(address.sun_family);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sun_family = AF_UNIX;
    if (fd < 0 || bind(fd, (sockaddr *) &address, size) != 0 ||
        (size = sizeof(address), getsockname(fd, (sockaddr *) &address, &size)) != 0) {
        int why = errno;

        if (fd >= 0) {
            (void) close(fd);
        }
        errno = why;
        raise(env, QE_ESYS);
    }
    Napi::Object found = Napi::Object::New(env);
    // Behind the NUL that says that it is abstract.
    size_t length = size - offsetof(sockaddr_un, sun_path) - 1;
    found.Set("fd", fd);
    found.Set("name", std::string(address.sun_path + 1, length));
    return found;
}

} // namespace

void add_warm(Napi::Env env, Napi::Object exports)
{
    exports.Set("bindWarm", Napi::Function::New(env, bind_warm, "bindWarm"));
}

} // namespace qe
