# relay_data: the folder of relay.build's larger outputs, which are not in the repository, or nothing; sourced by other tests.
# shellcheck shell=bash
#
# PANNIER_RELAY_DATA names it; else it may lie beside the checkout, as ../shared/relay. Without it, what needs it is skipped and counted.
relay_data=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/../shared/relay
if [[ -n ${PANNIER_RELAY_DATA:-} ]]; then
  relay_data=$(realpath "$PANNIER_RELAY_DATA")
  [[ -d $relay_data/ocr_cls ]] || { echo "PANNIER_RELAY_DATA: found no folder $relay_data/ocr_cls" >&2 && exit 1; }
fi
[[ -d $relay_data/ocr_cls ]] || relay_data=
