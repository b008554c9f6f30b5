//! The dependency descriptor among str0m's header extensions.

use farpane_proto::rtp::descriptor::DependencyDescriptor;
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues};

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(descriptor) = values.user_values.get::<DependencyDescriptor>() else { return 0 };
        let mut bytes = [0; _];
        let bytes = descriptor.encode(&mut bytes);
        let Some(room) = buf.get_mut(..bytes.len()) else { return 0 };
        room.copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, _buf: &[u8], _values: &mut ExtensionValues) -> bool {
        // Viewers send none.
        false
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}

pub(super) fn extension() -> Extension {
    Extension::with_serializer(DependencyDescriptor::URI, Serializer)
}

/// Whether the viewer takes it.
pub(super) fn is_in(extensions: &ExtensionMap) -> bool {
    extensions.iter_video().any(|(_, extension)| extension.as_uri() == DependencyDescriptor::URI)
}
