set -e
cd /work/w/fast
export PYTHONPATH=/tmp/nb
mkdir -p rt/recurra_runtime
cp -r runtime/src/recurra_runtime/* rt/recurra_runtime/; cp runtime/native/ops.def rt/recurra_runtime/
[ -d build ] || /tmp/nb/bin/cmake -S runtime -B build -G Ninja -DCMAKE_MAKE_PROGRAM=/tmp/nb/bin/ninja -DPython_EXECUTABLE=/work/main/.venv/bin/python -DCMAKE_BUILD_TYPE=Release > build.log 2>&1
nice -n -5 /tmp/nb/bin/cmake --build build >> build.log 2>&1 || { grep -n "error" -A5 build.log | tail -40; exit 1; }
cp build/_native*.so rt/recurra_runtime/
echo built
