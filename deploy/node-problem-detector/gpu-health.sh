#!/bin/sh
# A plugin for node-problem-detector: translates the exit status of `heatsink check --health`.
#
#   gpu-health.sh degraded   a degraded node is a problem, and so is a broken one (default)
#   gpu-health.sh broken     only a broken node is a problem
#
#                            heatsink   node-problem-detector
#   well                     0          0: no problem
#   degraded                 1          1: a problem; 0 with `broken`
#   broken                   2          1: a problem
#   no result                other      2: unknown
#
# HEATSINK is the path of heatsink, if it is not on the PATH.

line=$("${HEATSINK:-heatsink}" check --health)
status=$?

# A flag that heatsink does not know ends with 2 as well, without a line.
if [ -z "$line" ]; then
  echo "heatsink check --health printed nothing (exit status $status)"
  exit 2
fi
echo "$line"

case $status in
  0) exit 0 ;;
  1) if [ "$1" = broken ]; then exit 0; else exit 1; fi ;;
  2) exit 1 ;;
  *) exit 2 ;;
esac
