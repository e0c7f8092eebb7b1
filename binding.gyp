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
        "js/addon/replica.cc",
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
  ],
  # Runs across machines: an addon of its own, loaded by --queue alone, in a folder of its
  # own, as loaders take whatever addon they find first. OpenSSL is Node's: its headers come
  # with those of Node, its symbols from the program.
  "conditions": [
    ["'<!(pkg-config --exists 'hiredis >= 0.14' && echo 1 || echo 0)'=='1'", {
      "targets": [
        {
          "target_name": "qe_queue",
          "product_dir": "<(PRODUCT_DIR)/queue",
          "sources": [
            "<!@(node -p \"require('fs').readdirSync('csrc/queue').filter((n) => n.endsWith('.c')).map((n) => 'csrc/queue/' + n).join(' ')\")",
            "csrc/qe_cgroup.c",
            "csrc/qe_clock.c",
            "csrc/qe_error.c",
            "csrc/qe_heap.c",
            "csrc/qe_util.c",
            "js/addon/args.cc",
            "js/addon/log.cc",
            "js/addon/queue.cc",
            "js/addon/queue_reader.cc",
          ],
          "include_dirs": [
            "csrc",
            "csrc/include",
            "csrc/queue",
            "<!(node -p \"require('node-addon-api').include_dir\")"
          ],
          "defines": [
            "NAPI_VERSION=9",
            "_GNU_SOURCE",
            "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
          ],
          "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "<!@(pkg-config --cflags hiredis)"],
          "cflags_c": ["-std=c11"],
          "cflags_cc": ["-std=c++17", "-fexceptions"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti"],
          "libraries": ["<!@(pkg-config --libs hiredis)"],
          "ldflags": ["-Wl,-rpath,'$$ORIGIN'"],
          "conditions": [
            ["'<!(echo $QE_WERROR)'=='1'", {"cflags": ["-Werror"]}]
          ]
        }
      ]
    }]
  ]
}
