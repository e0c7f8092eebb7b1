#!/bin/sh
# Builds the Node addon into prebuilds/, with the libraries that it needs beside it,
# as the npm package carries it. Works in build/addon: node-gyp empties the folder
# "build" of what it builds.
set -eu

cd "$(dirname "$0")/.."
rm -rf build/addon prebuilds
mkdir -p build/addon
cp -R binding.gyp package.json csrc build/addon/
mkdir build/addon/js
cp -R js/addon build/addon/js/
ln -s ../../node_modules build/addon/node_modules

# The headers of the installed Node, where it has them; otherwise node-gyp fetches some.
prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
if [ -f "$prefix/include/node/node_api.h" ]; then
    npm_config_nodedir=$prefix
    export npm_config_nodedir
fi
if ! npx --no prebuildify -- --napi --strip --tag-libc --cwd build/addon >build/addon.log 2>&1; then
    tail -n 30 build/addon.log >&2
    exit 1
fi
mv build/addon/prebuilds prebuilds
# The one for runs across machines, which prebuildify does not know of.
mkdir "$(echo prebuilds/*)/queue"
strip --strip-all -o "$(echo prebuilds/*)/queue/qe_queue.node" \
    build/addon/build/Release/queue/qe_queue.node
for addon in prebuilds/*/*.node prebuilds/*/queue/*.node; do
    ldd "$addon" | sed -n 's/^[[:space:]]*\(libsqlite3\|libcjson\|libhiredis\)\([^ ]*\) => \([^ ]*\).*/\3/p' |
        while read -r library; do
            cp -L "$library" "$(dirname "$addon")/"
            # Its licence goes along, where this system has it as Debian does.
            package=$(dpkg-query -S "$(readlink -f "$library")" 2>/dev/null | cut -d: -f1)
            [ -z "$package" ] || cp "/usr/share/doc/$package/copyright" \
                "$(dirname "$addon")/$(basename "$library").copyright"
        done
done
