//! What all call groups do.

use crate::code::Code;
use crate::device::Device;
use crate::pass::{PassContext, TargetFinder};
use crate::row::Row;

/// Driver calls of one kind that are read together.
pub(crate) trait CallGroup: Send {
    /// Adds the fields of a row, in readings of `link`, if they are of this kind and a watch is on
    /// them.
    fn add(&mut self, _row: &'static Row, _link: u32, _targets: &mut TargetFinder) {}

    /// Forgets the fields of NVLinks.
    fn remove_links(&mut self) {}

    /// Keeps no more memory than is needed, once all is added: there is one group for each GPU.
    fn shrink_to_fit(&mut self) {}

    /// Reads what is due.
    ///
    /// # Errors
    ///
    /// NVML's code, if it is about the GPU as a whole.
    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code>;

    /// Takes back every "not supported".
    fn retry_unsupported(&mut self) {}

    /// Forgets earlier readings and slow calls: the GPU may be another than it was.
    fn reset(&mut self) {}
}
