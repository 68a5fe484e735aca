# shellcheck shell=bash source-path=SCRIPTDIR
# Loads every function of the entrypoint. Only definitions: nothing here may have an effect, because a derived image may source it.

container_scripts="${BASH_SOURCE[0]%/lib/all.sh}"
[[ "$container_scripts" == /* ]] || container_scripts="$PWD/$container_scripts"

# Named one by one, since a directory also holds programs, and modes do not survive on every system that builds images.
for container_script in \
  lib/{log,paths,environment,given,words,settings,postmaster,majors,health_target,supervise,stoppable,command,passwd} \
  init/{checks,check_data,check_place,check_locale,check_method,check_values,check_initdb,initdb_options,data_directory,wal,directories,marker,initdb,hba,sql,user_scripts,run_scripts,temporary_server} \
  config/{preload,memory,tls,logging,arguments,layers,server,imitation,ask_server,check_settings,mask,effective} \
  patroni/{checks,check_certificates,check_citus,check_file,check_generated,without_patroni,stores,environment,files,configuration,cluster_settings,member_settings,hooks,roles,failed_bootstrap,left_server} \
  citus/{environment,checks,node,sql,coordinator,worker,address} \
  upgrade/{options,state,checks,old_cluster,new_cluster,configuration,finish} \
  runtime/{standalone,patroni,upgrade,explain,explain_data}; do
  # shellcheck source=/dev/null
  source "$container_scripts/$container_script.sh"
done
unset container_script
