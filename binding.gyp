{
  "targets": [
    {
      "target_name": "qe",
      "sources": [
        "<!@(node -p \"require('fs').readdirSync('csrc').filter((n) => n.endsWith('.c')).map((n) => 'csrc/' + n).join(' ')\")",
        "js/addon/adapt.cc",
        "js/addon/addon.cc",
        "js/addon/args.cc",
        "js/addon/cause.cc",
        "js/addon/command.cc",
        "js/addon/event.cc",
        "js/addon/hunt.cc",
        "js/addon/loop.cc",
        "js/addon/machine.cc",
        "js/addon/record.cc",
        "js/addon/runs.cc",
        "js/addon/session.cc",
        "js/addon/shard.cc",
        "js/addon/stats.cc",
        "js/addon/warm.cc",
        "js/addon/worker.cc"
      ],
      "include_dirs": [
        "csrc/include",
        "<!(node -p \"require('node-addon-api').include_dir\")"
      ],
      "defines": [
        "NAPI_VERSION=9",
        "_GNU_SOURCE",
        # Of a worker thread that is being ended: what is thrown there cannot be.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra"],
      "cflags_c": ["-std=c11"],
      "cflags_cc": ["-std=c++17", "-fexceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti"],
      "libraries": ["<!@(pkg-config --libs sqlite3 libcjson)", "-lm"],
      "ldflags": ["-Wl,-rpath,'$$ORIGIN'"],
      "conditions": [
        ["'<!(echo $QE_WERROR)'=='1'", {"cflags": ["-Werror"]}]
      ]
    }
  ]
}
