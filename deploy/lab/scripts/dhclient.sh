#!/bin/sh
# dhclient's script in the lab: configures the client's own namespace and writes the lease history.
# dhclient clears the environment: LEASE_HISTORY and LEASE_CLIENT come with its option -e.
# With LEASE_REFUSE=1 a new lease is refused, which makes dhclient send a DHCPDECLINE.
. "$(dirname "$0")/history.sh"

case $reason in
  PREINIT)
    drop_addresses "$interface"
    ip link set "$interface" up
    ;;
  BOUND | REBOOT | RENEW | REBIND)
    if [ "${LEASE_REFUSE:-}" = 1 ]; then exit 1; fi
    case $reason in BOUND | REBOOT) event=bound ;; *) event=renewed ;; esac
    if [ -n "${old_ip_address:-}" ] && [ "$old_ip_address" != "$new_ip_address" ]; then
      drop_addresses "$interface"
      record ended "$reason" "$interface" "$old_ip_address" 0 ''
      event=bound
    fi
    record "$event" "$reason" "$interface" "$new_ip_address" "$new_dhcp_lease_time" "$new_dhcp_server_identifier"
    take_address "$interface" "$new_ip_address" "$(prefix_length "${new_subnet_mask:-255.255.255.0}")" "$new_dhcp_lease_time" "${new_routers:-}"
    ;;
  EXPIRE | STOP | RELEASE)
    drop_addresses "$interface"
    if [ -n "${old_ip_address:-}" ]; then record ended "$reason" "$interface" "$old_ip_address" 0 ''; fi
    ;;
  FAIL) record failed "$reason" "$interface" '' 0 '' ;;
  # The last lease on file, with no server in reach, is not taken.
  TIMEOUT) exit 1 ;;
esac
exit 0
